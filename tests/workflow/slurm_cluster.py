"""A Slurm cluster of this machine alone, in a folder, for as long as a test takes.

Its daemons belong to whoever starts them; nothing of the system is used or changed but the programs
of Debian's packages ``slurm-wlm`` and ``munge``. It has no accounting database, as many have none
that users may ask.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue", "scancel")
CONFIG = """
ClusterName=throwaway
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MinJobAge=600
OverTimeLimit=0
KillWait=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=6000 State=UNKNOWN
PartitionName=short Nodes={host} Default=YES MaxTime=60 State=UP
PartitionName=other Nodes={host} MaxTime=INFINITE State=UP
"""


class Cluster:
    """A running cluster; ``environment`` is that of commands which use it."""

    def __init__(self, folder):
        self.folder = Path(folder)
        path = f"{self.folder / 'bin'}:{_path()}"
        self._config = self.folder / "slurm.conf"
        self.environment = os.environ | {"SLURM_CONF": str(self._config), "PATH": path}
        self._daemons = []

    def start(self):
        for name in ("munge", "state", "spool", "bin"):
            (self.folder / name).mkdir(parents=True, mode=0o755)
        key = self.folder / "munge/key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        part = self.folder / "munge"
        # munged trusts no folder below one that others may write to, as /tmp is: hence --force
        self._run(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={part}/socket",
            f"--pid-file={part}/pid", f"--seed-file={part}/seed", f"--log-file={part}/log",
        )  # fmt: skip
        self._wait(lambda: (part / "socket").exists(), "munged")
        text = CONFIG.format(
            host=socket.gethostname().partition(".")[0],
            user=pwd.getpwuid(os.getuid()).pw_name,
            ports=_free_ports(2),
            folder=self.folder,
        )
        self._config.write_text(text)
        # Snakemake's executor keeps SLURM_CONF from srun
        srun = self.folder / "bin/srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self._config} exec {_program("srun")} "$@"\n')
        srun.chmod(0o755)
        self._run("slurmctld", "-D", "-c")
        self._run("slurmd", "-D")
        self._wait(lambda: "idle" in self.ask("sinfo", "-h", "-o", "%T"), "slurmd")

    def _run(self, program, *arguments):
        with open(self.folder / f"{program}.out", "w") as log:
            daemon = subprocess.Popen(
                [_program(program), *arguments],
                env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._daemons.append(daemon)

    def _wait(self, ready, what):
        end = time.monotonic() + 30
        while not ready():
            if time.monotonic() > end or any(d.poll() is not None for d in self._daemons):
                logs = sorted(self.folder.glob("*.out")) + sorted(self.folder.glob("*.log"))
                told = "\n".join(path.read_text() for path in logs)
                raise RuntimeError(f"{what} did not start:\n{told}")
            time.sleep(0.1)

    def ask(self, *command):
        """What a command of Slurm's prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        return done.stdout

    def stop(self):
        self.ask("scancel", "--user", pwd.getpwuid(os.getuid()).pw_name)
        for daemon in reversed(self._daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in self._daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def available():
    """Whether all programs are there, and Snakemake's executor."""
    return all(map(_program, PROGRAMS)) and bool(find_spec("snakemake_executor_plugin_slurm"))


def _program(name):
    return shutil.which(name, path=_path())


def _path():
    return os.environ["PATH"] + ":/usr/sbin:/sbin"


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
