"""A PostgreSQL server of one's own on loopback; it can be stopped as a power cut would."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

USER = "postgres"  # initdb refuses root


def binaries() -> Path | None:
    """The folder with initdb and pg_ctl, if PostgreSQL is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    plain = shutil.which("initdb")
    return found[-1].parent if found else Path(plain).parent if plain else None


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class PostgreSQL:
    """Made with ``begin``, gone with ``end``."""

    def __init__(self, where: Path) -> None:
        self.where, self.port = where, free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="lrsearch-postgresql-"))
        self.as_root = os.geteuid() == 0
        self._databases = 0

    def begin(self) -> PostgreSQL:
        if self.as_root:
            shutil.chown(self.folder, USER, USER)
        self._run("initdb", "-D", f"{self.folder}/data", "-A", "trust", "-U", "tester")
        self.start()
        return self

    def start(self) -> None:
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= "
            "-c fsync=off -c max_connections=100"
        )
        log = f"{self.folder}/log"
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-l", log, "-w", "-o", options, "start")

    def stop(self) -> None:
        """Without a word to anybody."""
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-w", "-m", "immediate", "stop")

    def end(self) -> None:
        subprocess.run(
            self._command("pg_ctl", "-D", f"{self.folder}/data", "-w", "-m", "immediate", "stop"),
            check=False,
            capture_output=True,
            cwd=self.folder,
        )
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self) -> str:
        """The URL of a new, empty database."""
        self._databases += 1
        name = f"sweeps{self._databases}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "tester", name)
        return f"postgresql://tester:unused@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        command = self._command(program, *arguments)
        # Output into a file: a server that has inherited a pipe would keep it open.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(command, stdout=output, stderr=output, cwd=self.folder)
            output.seek(0)
            assert done.returncode == 0, output.read().decode()

    def _command(self, program: str, *arguments: str) -> list[str]:
        command = [str(self.where / program), *arguments]
        return ["runuser", "-u", USER, "--", *command] if self.as_root else command
