"""Lies on the wire: the student's process answers the judge with what no answer may be."""

from functools import partial

from attacks import Attack

# The server in the student's process, found through the collector, as any code there can.
SERVER = """
import gc, json, os, socket, struct, sys, threading, time
from autograder import channel
server = next(o for o in gc.get_objects() if type(o).__name__ == "_Server")
fd = server.sock.fileno()
def raw(header, payload=b"", sizes=None):
    sizes = sizes or (len(header), len(payload))
    return struct.pack("<4sIQ", b"data", *sizes) + header + payload
def frame(tree, payload=b""):
    tree[1].insert(1, server.serial)
    return raw(json.dumps(tree).encode(), payload)
"""
LIE = "gave an answer that is not data"
SPOILED = (1, 0, 0)
lying = partial(Attack, family="channel")


def send(expression, then="time.sleep(60)"):
    """A victim that sends these bytes in place of an answer."""
    body = f"    server.sock.sendall({expression})\n    {then}\n"
    return f"{SERVER}def victim(x, k):\n{body}"


def answer(tree, payload="b''", then="time.sleep(60)"):
    return send(f"frame(['tuple', ['value', {tree}]], {payload})", then)


ATTACKS = [
    lying("a forged verdict", cell=send("frame(['tuple', ['graded', 1.0, 'ok']])", "return 0"),
          status="crash", message=LIE),
    lying("the judge's own words",
          cell=send('b\'["property","scales a tensor",true,""]\\n["graded",1.0,""]\\n\''),
          status="crash", message=LIE),
    lying("noise", cell=send("os.urandom(4096)", "return x"), status="crash", message=LIE),
    lying("answers ahead of the questions",
          cell=send("frame(['tuple', ['value', None]]) * 20", "return x"),
          status="crash", message=LIE),
    lying("an answer to another question",
          cell=send("raw(json.dumps(['tuple', ['value', server.serial + 1, 1]]).encode())"),
          status="crash", message=LIE),
    lying("a huge length", cell=send("raw(b'', b'', (10, 2**62))"), status="crash", message=LIE),
    lying("a huge header", cell=send("raw(b'', b'', (2**32 - 1, 0))"), status="crash",
          message=LIE),
    lying("lists in lists without end", cell=send("raw(b'[\"list\",[' * 300_000)"),
          status="crash", message=LIE),
    lying("lists closed in order", cell=send("raw(b'[\"list\",[' * 100_000 + b']]' * 100_000)"),
          status="crash", message=LIE),
    lying("a million values", cell=send("raw(b'[\"list\",[' + b'0,' * 600_000 + b'0]]')"),
          status="crash", message=LIE),
    lying("a pickle", cell=send("__import__('pickle').dumps(os.system) * 9"), status="crash",
          message=LIE),
    lying("not JSON's numbers", cell=answer("float('nan')", then="return 0").replace(
          "json.dumps(tree)", "json.dumps(tree).replace('NaN', '-Infinity')"), status="crash",
          message=LIE),
    lying("an integer of a million digits",
          cell=send("raw(b'[\"tuple\",[\"value\",%d,' % server.serial + b'9' * 10**6 + b']]')"),
          status="crash", message=LIE),
    lying("bytes that are no text", cell=send("raw(b'\\xff\\xfe\\x00[')"), status="crash",
          message=LIE),
    lying("a tensor with too few bytes", cell=answer("['tensor', 'float32', [3, 4]]", "b'1234'"),
          status="crash", message=LIE),
    lying("a tensor of negative size", cell=answer("['tensor', 'float32', [-3, -4]]", "b'1' * 48"),
          status="crash", message=LIE),
    lying("a tensor of 2**62 elements", cell=answer("['tensor', 'float32', [2**31, 2**31]]"),
          status="crash", message=LIE),
    lying("a shape of numbers that are none",
          cell=answer("['tensor', 'float32', [3.0, True]]", "b'1' * 12"), status="crash",
          message=LIE),
    lying("an unknown dtype", cell=answer("['tensor', 'quint8', [1]]", "b'1'"), status="crash",
          message=LIE),
    lying("bools that are both", cell=answer("['tensor', 'bool', [4]]", "bytes([0, 1, 2, 255])"),
          status="crash", message=LIE),
    lying("a number too large to print", cell=answer("['decimal', '1E999999999']"),
          status="crash", message=LIE),
    lying("a list as a key", cell=answer("['dict', [[['list', [1]], 1]]]"), status="crash",
          message=LIE),
    lying("a forged reference", cell=answer("['ref', 10**6, 'Tensor']", then="return 0"),
          status="crash", message=LIE),
    lying("a reference named to be printed", cell=answer("['ref', 1, '<script>4/4</script>']"),
          status="crash", message=LIE),
    lying("a callback that was never given",
          cell=send("frame(['tuple', ['callback', 99, ['tuple', []], ['dict', []]]])"),
          status="crash", message=LIE),
    lying("an error with a forged name",
          cell=send("frame(['tuple', ['error', ['list', ['full marks']], '4/4']])", "return 0"),
          status="crash", message=LIE),
    lying("file descriptors sent along",
          cell=send("b''", "socket.send_fds(server.sock, [b'data'], [0, 1, 2] * 20)\n"
                    "    time.sleep(60)"), status="timeout", slow=True, message="took too long"),
    lying("half closed", cell=SERVER + "def victim(x, k):\n"
          "    server.sock.shutdown(socket.SHUT_WR)\n    return x", status="crash"),
    lying("closed", cell=SERVER + "def victim(x, k):\n    os.close(fd)\n    return x",
          status="crash"),
    lying("replaced", cell=SERVER + "def victim(x, k):\n    a, b = socket.socketpair()\n"
          "    os.dup2(a.fileno(), fd)\n    time.sleep(60)", status="crash", slow=True),
    lying("every descriptor written to", cell=SERVER + """
def victim(x, k):
    for number in range(256):
        try: os.write(number, frame(["tuple", ["value", None]]))
        except OSError: pass
    return x
""", status="crash", message=LIE),
    lying("a thread that floods", cell=SERVER + """
def flood():
    while True: os.write(fd, frame(["tuple", ["value", True]]))
def victim(x, k):
    threading.Thread(target=flood, daemon=True).start()
    time.sleep(0.1)
    return x
""", status="crash", message=LIE),
    lying("a byte now and then", cell=SERVER + """
def victim(x, k):
    os.write(fd, struct.pack("<4sIQ", b"data", 1000, 0))
    while True:
        os.write(fd, b"x")
        time.sleep(0.3)
""", status="timeout", message="a call took too long", slow=True),
    lying("the questions taken by threads", cell=SERVER + """
def thief():
    while True:
        request = server.next_request()
        value = request[3][0] if request[1] == "call" else None
        channel.send_answer(server.sock, *channel.encode(("value", request[0], value), server.keep))
for _ in range(4): threading.Thread(target=thief, daemon=True).start()
def victim(x, k): return None
""", scores=SPOILED, status="graded|timeout|crash", slow=True),
    lying("a server that returns the question", cell=SERVER + """
type(server).do_call = lambda self, target, args, kwargs: args[0]
def victim(x, k): return None
""", scores=SPOILED, message="scales a tensor: wrong values"),
    lying("the judge killed by its number", cell=SERVER + """
import signal
def victim(x, k):
    pid = struct.unpack("3i", server.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    for number in {pid, os.getppid(), 1, 2}:
        try: os.kill(number, signal.SIGKILL)
        except OSError: pass
    return x
""", status="crash", message="a call ended the Python process", walled=True),
    lying("an answer that contains itself",
          cell="def victim(x, k):\n    a = [x]\n    a[0] = a\n    return a",
          message="scales a tensor"),
    lying("an answer of a thousand million bytes",
          cell="def victim(x, k):\n    return torch.zeros(250_000_000)",
          status="graded|memory", message="scales a tensor|too much memory",
          slow=True),
    lying("a generator without end",
          cell="def victim(x, k):\n    while True: yield x", message="scales a tensor"),
    lying("a list whose length lies", cell="""
class Long(list):
    def __len__(self): return 2**62
    def __iter__(self):
        while True: yield 0
def victim(x, k): return Long([1])
""", message="scales a tensor"),
]  # fmt: skip
