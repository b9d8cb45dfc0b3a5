"""What only the instructor has: build, restore, execute, judge, record, report."""
