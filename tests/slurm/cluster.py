"""A Slurm of one node with accounting, in a temporary folder, without systemd.

The daemons run in the foreground as children of this process, on free ports, with their own
configuration, keys and database: a Slurm that the machine may have is left alone. They die with
this process, however it ends; jobs that run are cancelled unless it is killed outright.
"""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

GPUS = ("/dev/null", "/dev/zero")
"""Devices that stand for GPUs: Slurm counts and binds them, and no CUDA is behind them."""

CPUS, MEMORY_MB = 8, 64000
"""What the node says it has, whatever the machine has: requests are what is tested."""

SLURM_CONF = """\
ClusterName=cia
SlurmctldHost=localhost
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=30
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=5,batch_sched_delay=1
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=5
SlurmdParameters=config_overrides
GresTypes=gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={dbd_port}
AccountingStoragePass={folder}/munge.socket
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
AccountingStorageEnforce=associations
NodeName=localhost NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} \
Gres=gpu:{gpus} Feature=fast State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=3-00:00:00 State=UP
PartitionName=gpu Nodes=localhost MaxTime=3-00:00:00 State=UP
"""

SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdPort={dbd_port}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={db_port}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm
"""

MARIADB_CONF = """\
[mariadbd]
user=root
datadir={folder}/database
socket={folder}/mariadb.socket
pid-file={folder}/mariadb.pid
bind-address=127.0.0.1
skip-name-resolve
port={db_port}
innodb_buffer_pool_size=128M
innodb_lock_wait_timeout=900
"""


class Cluster:
    """Start the daemons on entering, stop them and remove their folder on leaving.

    Attributes
    ----------
    environment : dict
        Variables with which Slurm's commands, and Snakemake, speak to this cluster.
    """

    def __enter__(self) -> "Cluster":
        # not below pytest's own folder, which munge refuses: others may not enter it
        self.folder = Path(tempfile.mkdtemp(prefix="cia-slurm-"))
        self.folder.chmod(0o755)
        self._daemons: list[tuple[str, subprocess.Popen]] = []
        self.environment = {
            **_without_slurm(os.environ),
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin",
        }
        try:
            self._configure()
            self._start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        if any(name == "slurmd" for name, _ in self._daemons):
            self._cancel_all()
        for name, process in reversed(self._daemons):
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                print(f"{name} did not end in 30 s; killed")
                process.kill()
                process.wait()
        shutil.rmtree(self.folder)

    def run(self, *command: str, check: bool = True) -> str:
        """Run one of Slurm's commands and return what it prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def sacct(self, *columns: str) -> list[dict]:
        """Return all jobs of the accounting database, requeued ones once for each start."""
        names = ",".join(columns)
        output = self.run("sacct", "-XnPD", "--delimiter=\t", "-S", "now-1day", "-o", names)
        return [dict(zip(columns, line.split("\t"), strict=True)) for line in output.splitlines()]

    def _configure(self) -> None:
        for name in ("bin", "state", "spool", "database"):
            (self.folder / name).mkdir()
        ports = _free_ports(4)
        values = {
            "folder": self.folder,
            "host": socket.gethostname().split(".")[0],
            "cpus": CPUS,
            "memory": MEMORY_MB,
            "gpus": len(GPUS),
            "password": secrets.token_hex(16),
            **dict(zip(("ctld_port", "slurmd_port", "dbd_port", "db_port"), ports, strict=True)),
        }
        self._password = values["password"]
        files = {
            "slurm.conf": SLURM_CONF,
            "slurmdbd.conf": SLURMDBD_CONF,
            "mariadb.conf": MARIADB_CONF,
        }
        for name, template in files.items():
            (self.folder / name).write_text(template.format(**values))
        (self.folder / "slurmdbd.conf").chmod(0o600)
        gres = "".join(f"Name=gpu File={device}\n" for device in GPUS)
        (self.folder / "gres.conf").write_text(gres)
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        self._wrap_srun()

    def _wrap_srun(self) -> None:
        """Put an srun on the PATH that knows the configuration.

        Inside of a job the executor plugin takes all variables that start with SLURM_ away from
        srun, SLURM_CONF too, for which other clusters have a file in /etc.
        """
        srun = self.folder / "bin" / "srun"
        conf, real = self.environment["SLURM_CONF"], shutil.which("srun")
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={conf} exec {real} "$@"\n')
        srun.chmod(0o755)

    def _start_all(self) -> None:
        folder = self.folder
        self._start(
            "munged",
            "--foreground",
            f"--socket={folder}/munge.socket",
            f"--key-file={folder}/munge.key",
            f"--pid-file={folder}/munged.pid",
            f"--seed-file={folder}/munged.seed",
        )
        self._wait("munged", lambda: (folder / "munge.socket").exists())
        defaults = f"--defaults-file={folder}/mariadb.conf"
        self.run("mariadb-install-db", defaults, "--auth-root-authentication-method=socket")
        self._start("mariadbd", defaults)
        self._wait("mariadbd", lambda: self._sql("SELECT 1"))
        self._sql(
            f"CREATE USER slurm@'127.0.0.1' IDENTIFIED BY '{self._password}';"
            "CREATE DATABASE slurm; GRANT ALL ON slurm.* TO slurm@'127.0.0.1'"
        )
        self._start("slurmdbd", "-D")
        self._wait("slurmdbd", lambda: self._answers("sacctmgr", "-n", "show", "cluster"))
        self.run("sacctmgr", "-i", "add", "cluster", "cia", check=False)
        self.run("sacctmgr", "-i", "add", "account", "lab", "cluster=cia")
        self.run("sacctmgr", "-i", "add", "user", "root", "account=lab", "cluster=cia")
        self._start("slurmctld", "-D", "-c")
        self._start("slurmd", "-D", "-c", "-N", "localhost")
        self._wait("slurmd", lambda: "idle" in self.run("sinfo", "-hN", "-o", "%T", check=False))

    def _start(self, name: str, *arguments: str) -> None:
        with open(self.folder / f"{name}.out", "w") as output:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", name, *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt from the keyboard is ours to pass on
            )
        self._daemons.append((name, process))

    def _wait(self, name: str, ready: Callable[[], object], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            ended = [name for name, process in self._daemons if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"{ended or name} did not start:\n{self._logs()}")
            time.sleep(0.2)

    def _logs(self) -> str:
        paths = sorted(self.folder.glob("*.out"))
        return "\n".join(f"--- {path.name}\n{path.read_text()[-3000:]}" for path in paths)

    def _answers(self, *command: str) -> bool:
        return subprocess.run(command, env=self.environment, capture_output=True).returncode == 0

    def _sql(self, statement: str) -> bool:
        return self._answers(
            "mariadb", "--no-defaults", f"--socket={self.folder}/mariadb.socket", "-e", statement
        )

    def _cancel_all(self) -> None:
        self.run("scancel", "--user=root", check=False)
        deadline = time.monotonic() + 30
        while self.run("squeue", "-h", check=False).strip() and time.monotonic() < deadline:
            time.sleep(0.5)


def _without_slurm(environment) -> dict:
    own = ("SLURM_", "SBATCH_", "SRUN_")
    return {name: value for name, value in environment.items() if not name.startswith(own)}


def _free_ports(count: int) -> list[int]:
    """Return free ports below those that outgoing connections take."""
    ports: set[int] = set()
    while len(ports) < count:
        port = 20000 + secrets.randbelow(12000)
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) != 0:
                ports.add(port)
    return list(ports)
