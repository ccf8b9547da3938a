"""The conversation on a terminal, through a real pseudo-terminal."""
import os, pty, select, stat, tempfile, time
from harness import *


class Terminal:
    def __init__(self, *args, env):
        self.said, self.seen = b"", 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(env, TERM="xterm")
            os.execv(KWAAI, ["kwaai", *args])

    def wait(self, marker, seconds=120):
        end = time.time() + seconds
        while time.time() < end:
            at = self.said.find(marker, self.seen)
            if at >= 0:
                part, self.seen = self.said[self.seen:at], at + len(marker)
                return part
            if not select.select([self.fd], [], [], 0.5)[0]: continue
            try: self.said += os.read(self.fd, 65536)
            except OSError: break
        raise AssertionError("no %r in %r" % (marker, self.said[-600:]))

    def type(self, text):
        os.write(self.fd, text)

    def end(self, key=b"", seconds=120):
        """Types the key and gives the exit code. What is typed while the line editor takes the terminal over is lost, as on any
        terminal: the key is typed again until the program ends."""
        end = time.time() + seconds
        try:
            self.type(key)
            while time.time() < end:         # the program waits until its output was taken
                if not select.select([self.fd], [], [], 2)[0]: self.type(key)
                elif not os.read(self.fd, 65536): break
        except OSError: pass
        if time.time() >= end: os.kill(self.pid, 9)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def conversation(d, *args):
    t = Terminal("run", smollm2(), "--temp", "0", *args, env={"XDG_STATE_HOME": d})
    t.wait(b">>> ")
    return t


def test_a_conversation_with_commands():
    with tempfile.TemporaryDirectory() as d:
        t = conversation(d, "-n", "16")
        t.type(b"What is the capital of France?\n")
        assert b"Paris" in t.wait(b">>> ")
        for command, answer in ((b"/stats\n", b"of it cache"), (b"/set temperature 0.5\n", b"temperature = 0.5"),
                                (b"/set nonsense 3\n", b"no option"), (b"/frob\n", b"no /frob"), (b"/help\n", b"/system"),
                                (b"/set threads 3\n", b"fixed"), (b"/clear\n", b"anew")):
            t.type(command)
            assert answer in t.wait(b">>> "), (command, t.said[-400:])
        t.type(b'"""first line\n')
        t.wait(b"... ")
        t.type(b'second line"""\n')
        t.wait(b">>> ")
        assert t.end(b"/bye\n") == 0
        history = os.path.join(d, "kwaai", "history")
        if has_editor():
            assert stat.S_IMODE(os.stat(history).st_mode) == 0o600


def test_control_c_stops_the_answer_and_not_the_program():
    with tempfile.TemporaryDirectory() as d:
        t = conversation(d, "--ignore-eos")
        t.type(b"Tell me a very long story.\n")
        t.wait(b"\n")
        t.wait(b" ")       # the answer has begun
        t.wait(b" ")
        t.wait(b" ")
        t.type(b"\x03")
        t.wait(b">>> ", 20)
        assert t.end(b"\x04") == 0


def has_editor():
    return "none" not in ok("doctor").decode().split("line editor")[1].split("\n")[0]


def test_control_c_at_the_prompt_drops_the_line_or_the_block():
    if not has_editor(): raise Skip("no line editor is linked")
    with tempfile.TemporaryDirectory() as d:
        t = conversation(d, "-n", "8")
        for begun in (b"What is", b""):
            t.type(begun + b"\x03")
            assert b"^C" in t.wait(b">>> "), t.said
        t.type(b'"""one\n')
        t.wait(b"... ")
        t.type(b"two\x03")
        assert b"^C" in t.wait(b">>> "), t.said
        t.type(b"/stats\n")
        assert b"context 0 of" in t.wait(b">>> "), t.said
        assert t.end(b"\x04") == 0


def test_letters_beyond_ascii_reach_the_model():
    with tempfile.TemporaryDirectory() as d:
        t = conversation(d, "-n", "1")
        t.type("/frob café 猫\n".encode())
        assert "/frob café 猫".encode() in t.wait(b"help"), t.said
        t.wait(b">>> ")
        assert t.end(b"\x04") == 0


def test_a_question_that_failed_is_forgotten():
    with tempfile.TemporaryDirectory() as d:
        t = conversation(d, "-n", "8", "-c", "96", "--chat-template", "llama2")
        t.type(b"word " * 120 + b"\n")
        assert b"96" in t.wait(b">>> ")
        t.type(b"Hi\n")
        assert b"error" not in t.wait(b">>> "), t.said[-400:]
        assert t.end(b"\x04") == 0


def test_history_outlives_a_program_that_is_killed_at_its_prompt():
    if not has_editor(): raise Skip("no line editor is linked")
    with tempfile.TemporaryDirectory() as d:
        t = conversation(d, "-n", "1")
        t.type(b"/help\n")
        t.wait(b">>> ")
        os.kill(t.pid, 9)
        assert t.end() == -9
        assert b"/help" in open(os.path.join(d, "kwaai", "history"), "rb").read()


if __name__ == "__main__": main(globals())
