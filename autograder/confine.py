"""The inner wall: what a fork of a warm process does to itself before any student code runs.

Linux calls that Python does not wrap go through libc with ctypes. Order matters: namespaces and
mounts need rights, so they come first; then the rights go, for good.
"""

import ctypes
import os
import platform
import resource
import struct
from contextlib import suppress
from pathlib import Path

NEWNS, NEWUTS, NEWIPC = 0x00020000, 0x04000000, 0x08000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_SET_THP_DISABLE, PR_CAP_AMBIENT = 36, 38, 41, 47

SCRATCH = "/tmp/work"


def _libc(name: str, *arguments) -> int:
    """Call libc's `name`; OSError on -1."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = getattr(libc, name)(*arguments)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def prctl(option: int, *values: int) -> None:
    padded = [ctypes.c_ulong(v) for v in (*values, 0, 0, 0, 0)[:4]]
    _libc("prctl", ctypes.c_int(option), *padded)


def unshare(flags: int) -> None:
    _libc("unshare", ctypes.c_int(flags))


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    _libc(
        "mount",
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )


# -------------------------------------------------------------------------------------- memory


def huge_pages() -> None:
    """Put what this process has in memory into huge pages, where the kernel can (Linux >= 6.1).

    A fork then has far fewer page table entries to copy at its start and to take down at its end.
    """
    size, collapse = 1 << 21, 25  # MADV_COLLAPSE
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, rights, _, _, _, *name = line.split(maxsplit=5)
        if rights != "rw-p" or name not in ([], ["[heap]"]):
            continue
        low, high = (int(address, 16) for address in addresses.split("-"))
        low, high = -(-low // size) * size, high // size * size
        if low < high:
            with suppress(OSError):
                _libc("madvise", ctypes.c_void_p(low), ctypes.c_size_t(high - low), collapse)


# ---------------------------------------------------------------------------------- namespaces


def own_process_tree(as_root: bool) -> None:
    """The next fork of this process is process 1 of its own tree.

    An ordinary user first gets a user namespace, where he has the right to do so. RLIMIT_NPROC
    then counts what runs in that namespace alone (Linux >= 5.14).
    """
    if not as_root:
        uid, gid = os.geteuid(), os.getegid()
        unshare(NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    unshare(NEWPID)


def own_files_and_network(uid: int, scratch_bytes: int, keep: list[str], hide: list[str]) -> None:
    """Fresh /tmp, /dev/shm, /proc and network, and an empty read-only folder over each of `hide`.

    Folders of `keep` that lie in /tmp (Python or the course may be installed there) stay visible.
    Called by process 1 of the new tree, while it still has rights. The working folder is SCRATCH.
    """
    unshare(NEWNS | NEWNET | NEWIPC | NEWUTS)
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    careful = MS_NOSUID | MS_NODEV
    # An inode costs kernel memory that no size limit counts.
    options = f"size={scratch_bytes},nr_inodes=65536,mode=0700,uid={uid},gid={uid_gid(uid)}"
    kept = {path: os.open(path, os.O_PATH) for path in keep if path.startswith("/tmp/")}
    for path in ("/tmp", "/dev/shm"):
        mount("tmpfs", path, "tmpfs", careful, options)
    for path, folder in kept.items():
        os.makedirs(path, mode=0o755, exist_ok=True)
        mount(f"/proc/self/fd/{folder}", path, None, MS_BIND | MS_REC)  # read-only as it was
        os.close(folder)
    mount("proc", "/proc", "proc", careful | MS_NOEXEC)
    for path in hide:
        mount("tmpfs", path, "tmpfs", careful | MS_RDONLY, "size=4k,mode=0755")
    _loopback_up()


def uid_gid(uid: int) -> int:
    """The group that goes with a fork's user: as root the same number, else our own."""
    return os.getegid() if uid == os.geteuid() else uid


def _loopback_up() -> None:
    """A loopback of its own, connected to nothing: torch.distributed and test servers want one."""
    import fcntl
    import socket

    set_flags, up = 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s, suppress(OSError):
        fcntl.ioctl(s, set_flags, struct.pack("16sH14x", b"lo", up))


# ------------------------------------------------------------------------------- rights, limits


def set_limits(limits: dict, isolated: bool) -> None:
    """The resource limits of this process and its children. `limits`: Limits.as_dict().

    RLIMIT_DATA, not RLIMIT_AS: torch maps far more than it uses. What the warm process already
    holds is added, so that memory_bytes means the student's own.
    """
    _limit(resource.RLIMIT_DATA, limits["memory_bytes"] + _data_bytes())
    _limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
    _limit(resource.RLIMIT_NOFILE, limits["open_files"])
    _limit(resource.RLIMIT_CORE, 0)
    # The soft limit's SIGXCPU says "cpu"; the hard one follows if the program ignores it.
    _limit(resource.RLIMIT_CPU, int(limits["cpu_seconds"]), grace=1)
    # Python's threads take the soft limit as their stack; a runaway recursion must stay cheap.
    _limit(resource.RLIMIT_STACK, 8 * 1024**2, grace=56 * 1024**2)
    if isolated:  # outside of a namespace it would count all processes of the user
        _limit(resource.RLIMIT_NPROC, limits["processes"])
        _limit(resource.RLIMIT_MEMLOCK, 1024**2)
        _limit(resource.RLIMIT_MSGQUEUE, 1024**2)


def _limit(which: int, value: int, grace: int = 0) -> None:
    """Set a limit, never above the one in force: soft `value`, hard `value + grace`."""
    _, hard = resource.getrlimit(which)
    top = value + grace if hard == resource.RLIM_INFINITY else min(value + grace, hard)
    with suppress(ValueError, OSError):  # macOS refuses some
        resource.setrlimit(which, (min(value, top), top))


def _data_bytes() -> int:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0


def drop_rights(uid: int) -> None:
    """Become `uid`, with no capability, no way to gain one, and few system calls."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        prctl(PR_CAPBSET_DROP, capability)
    prctl(PR_CAP_AMBIENT, 4)  # clear all
    if uid != os.geteuid():
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    header = struct.pack("Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    _libc("capset", header, bytes(24))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    if seccomp_supported():
        _filter_system_calls()


# ------------------------------------------------------------------------------------- seccomp

# Numbers on (x86_64, aarch64). Refused with "operation not permitted": ways to new namespaces (a
# new user namespace hands out rights again), mounts, other processes' memory, kernel interfaces
# with a history; and memory that neither RLIMIT_DATA nor the watch over processes would see.
_REFUSED = {
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "open_by_handle_at": (304, 265),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "shmget": (29, 194),
    "msgget": (68, 186),
}
# "Not implemented": libraries know this answer and do without.
_ABSENT = {
    "clone3": (435, 435),  # its flags lie in memory, where a filter cannot read; clone remains
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
_CLONE = (56, 220)
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}


def seccomp_supported() -> bool:
    """Whether the system call filter exists for this machine."""
    return platform.system() == "Linux" and platform.machine() in _ARCHITECTURES


def _filter_system_calls() -> None:
    """Install the filter, a classic BPF program over struct seccomp_data (seccomp(2))."""
    architecture, column = _ARCHITECTURES[platform.machine()]
    load, equal, at_least, any_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, kill, errno = 0x7FFF0000, 0x80000000, 0x00050000
    not_permitted, not_implemented = errno | 1, errno | 38
    program = [
        (load, 0, 0, 4),  # architecture: the numbers below mean other calls on another
        (equal, 1, 0, architecture),
        (answer, 0, 0, kill),
        (load, 0, 0, 0),  # number of the call
        (at_least, 0, 1, 0x40000000),  # the x32 numbers
        (answer, 0, 0, not_implemented),
        (equal, 0, 4, _CLONE[column]),
        (load, 0, 0, 16),  # clone's flags: threads and forks yes, namespaces no
        (any_bit, 0, 1, NEWUSER | NEWNS | NEWPID | NEWNET | NEWIPC | NEWUTS | 0x02000000),
        (answer, 0, 0, not_permitted),
        (answer, 0, 0, allow),
    ]
    for calls, result in ((_REFUSED, not_permitted), (_ABSENT, not_implemented)):
        for numbers in calls.values():
            program += [(equal, 0, 1, numbers[column]), (answer, 0, 0, result)]
    program.append((answer, 0, 0, allow))
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    address = ctypes.create_string_buffer(header, len(header))
    mode_filter = 2
    prctl(PR_SET_SECCOMP, mode_filter, ctypes.addressof(address))
