# SPDX-License-Identifier: Apache-2.0
"""The place of a measurement: network namespaces, processes in them, and the box, which is a
container and its host.

A namespace lives as long as this process holds its descriptor. A process here ends with this one
(PR_SET_PDEATHSIG), or the next run finds it (sweep())."""

import ctypes
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(REPO, os.environ.get("BUILD", "build"))
SIDESTEP = os.path.join(BUILD, "sidestep")
CLIENT = os.path.join(BUILD, "bench", "client")
SINK = os.path.join(BUILD, "bench", "sink")
# Programs that deps.sh unpacked instead of installing them (installing would start services).
TOOLS = os.path.join(BUILD, "bench-tools", "bin")

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
# The machine's setting does not matter. bbr paces even on loopback, and its timers would then be
# measured. Nothing is lost on these paths, so all others behave alike. Every namespace may choose
# reno.
CONGESTION_CONTROL = "reno"
ALL_CPUS = sorted(os.sched_getaffinity(0))

# The begin of each box's folder name. The harness's process number follows.
PREFIX = "sidestep-bench-"

libc = ctypes.CDLL(None, use_errno=True)


class HarnessError(Exception):
    """The harness itself could not do its work."""


class Unavailable(Exception):
    """A competitor or case cannot run here; its argument says why."""


def find_program(name):
    """Returns the path of a program: the unpacked one, else the machine's. Raises Unavailable
    without one."""
    path = shutil.which(name, path=TOOLS + ":" + os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        raise Unavailable(f"{name} is not there; run: tests/deps.sh bench")
    return path


def descriptor_limit():
    """Returns the number of files that a process here may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def _check(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


class Namespace:
    """A network namespace with lo up. close() removes everything in it."""

    def __init__(self, name):
        self.name = name
        ready, done = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            # Only until the parent has opened the namespace.
            try:
                _check(libc.unshare(CLONE_NEWNET), "unshare")
                os.write(ready[1], b"1")
                os.close(done[1])
                os.read(done[0], 1)
            finally:
                os._exit(0)
        os.close(ready[1])
        os.close(done[0])
        made = os.read(ready[0], 1)
        try:
            if not made:
                raise HarnessError("cannot make a network namespace; is this root?")
            self.fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(ready[0])
            os.close(done[1])
            os.waitpid(pid, 0)
        self.path = f"/proc/{os.getpid()}/fd/{self.fd}"
        self.ip("link set lo up")

    def enter_in_child(self, cpus, user_setup=None):
        """Returns the function that subprocess calls between fork and exec."""
        parent = os.getpid()

        def enter():
            _check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
            if os.getppid() != parent:
                os._exit(1)
            _check(libc.setns(self.fd, CLONE_NEWNET), "setns")
            os.sched_setaffinity(0, cpus)
            if user_setup:
                user_setup()

        return enter

    def run(self, *command, text=None, cpus=None, timeout=60):
        """Runs a command to its end and returns its output. Raises HarnessError if it failed."""
        result = subprocess.run(command, input=text, capture_output=True, text=True, timeout=timeout,
                                preexec_fn=self.enter_in_child(cpus or ALL_CPUS), check=False)
        if result.returncode != 0:
            raise HarnessError(f"in {self.name}: {' '.join(command)}: status {result.returncode}: "
                               f"{result.stderr.strip()[-400:]}")
        return result.stdout

    def ip(self, commands):
        """Runs ip(8) commands, one a line."""
        self.run("ip", "-batch", "-", text=commands + "\n")

    def sysctl(self, **values):
        for name, value in values.items():
            self.run("sysctl", "-qw", f"{name.replace('__', '.')}={value}")

    def spawn(self, *command, cpus=None, stdin=None):
        return Process(self, command, cpus or ALL_CPUS, stdin)

    def close(self):
        os.close(self.fd)


class Process:
    """A process in a namespace. Its output goes to a file that wait_line() reads."""

    def __init__(self, namespace, command, cpus, stdin):
        self.command = command
        self.log = tempfile.TemporaryFile(prefix="sidestep-bench-")
        self.popen = subprocess.Popen(command, stdin=stdin or subprocess.DEVNULL, stdout=self.log,
                                      stderr=subprocess.STDOUT,
                                      preexec_fn=namespace.enter_in_child(cpus))
        self.pid = self.popen.pid

    def text(self):
        return os.pread(self.log.fileno(), 1 << 20, 0).decode(errors="replace")

    def alive(self):
        return self.popen.poll() is None

    def wait_line(self, pattern, seconds=10):
        """Waits for a line that matches, and returns the match. Raises Unavailable if the process
        ends first or the time is over, with its last words as the reason."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ended = not self.alive()
            match = re.search(pattern, self.text(), re.M)
            if match:
                return match
            if ended:
                break
            time.sleep(0.005)
        words = [line for line in self.text().strip().splitlines() if line]
        raise Unavailable(f"{os.path.basename(self.command[0])}: "
                          f"{words[-1] if words else 'said nothing'}")

    def tasks(self):
        try:
            return [int(task) for task in os.listdir(f"/proc/{self.pid}/task")]
        except OSError:
            return []

    def cpu_seconds(self):
        """Returns the time on the processor until now, of all threads that live."""
        return sum(task_seconds(self.pid, task) for task in self.tasks())

    def memory(self):
        """Returns a field of /proc/PID/status in bytes: VmRSS, RssAnon, VmHWM ..."""
        found = {}
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            for line in status:
                name, value = line.split(":", 1)
                if value.endswith("kB\n"):
                    found[name] = int(value.split()[0]) * 1024
        return found

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def stop(self, how=signal.SIGTERM, seconds=5):
        if self.alive():
            self.popen.send_signal(how)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        self.log.close()


def sweep():
    """Removes the remains of a killed harness: its folders, and the processes that name them. (A
    process that changes its user, as redsocks and HAProxy do, survives its parent's death.)"""
    for name in os.listdir(tempfile.gettempdir()):
        match = re.fullmatch(PREFIX + r"(\d+)-\w+", name)
        if not match or os.path.exists(f"/proc/{match.group(1)}"):
            continue
        path = os.path.join(tempfile.gettempdir(), name)
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if path.encode() + b"/" in file.read():
                        os.kill(int(pid), signal.SIGKILL)
            except OSError:
                pass
        shutil.rmtree(path, ignore_errors=True)


def task_seconds(pid, task):
    try:
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as stat:
            return int(stat.read().split()[0]) / 1e9
    except OSError:
        return 0.0


def _ksoftirqds():
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/comm", encoding="ascii") as comm:
                    if comm.read().startswith("ksoftirqd/"):
                        found.append(int(name))
            except OSError:
                pass
    return found


KSOFTIRQDS = _ksoftirqds()


def system_seconds():
    """Returns the time that the whole machine was not idle (in ticks, so coarse)."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def wait_quiet(seconds=5.0):
    """Waits until the machine is idle. The kernel still removes ended namespaces, maps and sockets,
    which must not be measured. The wait is limited, for a machine that is never idle."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start, busy = time.monotonic(), system_seconds()
        time.sleep(0.1)
        if system_seconds() - busy < 0.1 * len(ALL_CPUS) * (time.monotonic() - start):
            return


class Box:
    """A container and its host: two namespaces, joined by a bridge as Docker does it.

        container  eth0 172.30.0.2, default route through the host
        host       br0 172.30.0.1 (also 172.30.0.128 and up, for many destinations on the link);
                   "the internet" 192.0.2.0/24; a sink that serves all of them and is the gateway

    A competitor starts its processes with sink() and spawn(); they are pinned if the box is."""

    GATEWAY = "172.30.0.1:8080"
    RESOLVER = "192.0.2.253"
    INTERNET = "192.0.2.0"
    LINK = "172.30.0.128"
    ADDRESSES = 100
    TRANSPARENT_PORT = 15001

    def __init__(self, name, pinned):
        self.name = name
        self.pinned = pinned
        self.cpus = ALL_CPUS[-1:] if pinned else ALL_CPUS
        self.threads = len(self.cpus)
        self.target = self.INTERNET
        self.processes = []
        self.namespaces = []
        self.cleanups = []
        self.directory = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self):
        self.container = self._namespace("container")
        self.host = self._namespace("host")
        self.host.ip(f"""link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
            address add 172.30.0.1/24 dev br0
            link set br0 up
            route add local 172.30.0.128/25 dev br0
            route add local 192.0.2.0/24 dev lo
            link add port type veth peer name eth0 netns {self.container.path}
            link set port master br0 up""")
        self.container.ip("""address add 172.30.0.2/24 dev eth0
            link set eth0 up
            route add default via 172.30.0.1""")
        # Servers close first here, and their TIME_WAITs would fill memory over many rounds.
        for namespace in self.namespaces:
            namespace.sysctl(net__ipv4__tcp_max_tw_buckets=8192,
                             net__ipv4__ip_local_port_range="10000 65000",
                             net__core__somaxconn=16384,
                             net__ipv4__tcp_max_syn_backlog=16384,
                             net__ipv4__tcp_congestion_control=CONGESTION_CONTROL)
        self.host.sysctl(net__ipv4__ip_forward=1)
        self.host_sink = self.sink("--listen", "--dns", self.RESOLVER, where=self.host)

    def _namespace(self, name):
        namespace = Namespace(f"{self.name}/{name}")
        self.namespaces.append(namespace)
        return namespace

    def spawn(self, *command, where=None):
        process = (where or self.container).spawn(*command, cpus=self.cpus)
        self.processes.append(process)
        return process

    def sink(self, *arguments, where=None):
        """Starts the receiver (bench/load/sink.c) and waits until it is ready."""
        process = self.spawn(SINK, *arguments, where=where)
        process.wait_line("^ready$")
        return process

    def file(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(self.directory, 0o755)
        return path

    def cpu_seconds(self):
        return (sum(process.cpu_seconds() for process in self.processes) +
                sum(task_seconds(pid, pid) for pid in KSOFTIRQDS))

    def client(self, load, *, clients=1, seconds=1.0, target=None, addresses=None, extra=(),
               where=None):
        """Runs the load generator (bench/load/client.c) once. Returns its JSON object, with the
        processor time of client, competitor and sink."""
        command = [CLIENT, load, "--target", target or self.target, "--addresses",
                   str(addresses or self.ADDRESSES), "--clients", str(clients), "--seconds",
                   f"{seconds:.3f}", *map(str, extra)]
        before, system_before = self.cpu_seconds(), system_seconds()
        found = json.loads((where or self.container).run(*command, cpus=self.cpus,
                                                         timeout=seconds + 60))
        found["system_cpu_s"] = system_seconds() - system_before
        found["cpu_s"] = self.cpu_seconds() - before + found.pop("client_cpu_s", 0.0)
        if found.get("bytes"):
            found["cpu_s_gb"] = found["cpu_s"] / found["total_bytes"] * 1e9
        return found

    def close(self):
        for process in reversed(self.processes):
            process.stop()
        for cleanup in self.cleanups:
            cleanup()
        for namespace in self.namespaces:
            namespace.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.processes, self.namespaces, self.cleanups = [], [], []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
