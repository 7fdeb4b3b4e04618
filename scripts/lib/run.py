"""spark-submit for the main job, with what a laptop lacks: the jars, loopback addresses, and a way to stop it.

SIGTERM to spark-submit kills the JVM at once, and the job in it never hears of it. So spark-submit runs in a session of
its own, where a terminal's Ctrl-C does not reach it, and both signals are passed to the job's Python process instead.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType

from job_output import JobOutput, on_terminal, pipes

ROOT = Path(__file__).resolve().parents[2]
PR_SET_PDEATHSIG = 1  # linux/prctl.h
ENDING_JOBS = ("backfill_events.py", "replay_quarantine.py")  # that go through micro-batches, to an end


def job_of(arguments: list[str]) -> tuple[str, list[str]]:
    """`--job FILE` as the first arguments: another job than the main one."""
    if arguments[:1] == ["--job"]:
        return arguments[1], arguments[2:]
    return "stream_events.py", arguments


def command(arguments: list[str]) -> list[str]:
    job, arguments = job_of(arguments)
    submit = str(Path(sys.executable).parent / "spark-submit")
    return [submit, *submit_options(), str(ROOT / "jobs" / job), *arguments]


def submit_options() -> list[str]:
    """What spark-submit, or pyspark in its place, needs on this machine."""
    jars = f"{ROOT}/.cache/{Path(sys.prefix).name.replace('.venv', 'jars')}/*"  # those of this Spark: scripts/set-up
    # Java's default collector works beside the job, on cores that a laptop does not have to spare.
    collector = "" if "GC" in os.environ.get("SPARK_SUBMIT_OPTS", "") else " -XX:+UseParallelGC"
    settings = {
        "spark.driver.extraClassPath": jars,
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile=file:{ROOT}/conf/log4j2.properties{collector}",
        "spark.executor.extraClassPath": jars,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",  # on in a notebook, unless it is told
        "spark.driver.memory": os.environ.get("EVENT_LAKE_DRIVER_MEMORY", "1280m"),
    }
    return ["--master", "local[*]", *(word for key, value in settings.items() for word in ("--conf", f"{key}={value}"))]


def environment(pid_file: Path) -> dict[str, str]:
    return spark_environment() | {"EVENT_LAKE_PID_FILE": str(pid_file)}


def spark_environment() -> dict[str, str]:
    own = {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    # Another Spark on this machine must not lend its own jars and settings.
    inherited = {key: value for key, value in os.environ.items() if key not in ("SPARK_HOME", "SPARK_CONF_DIR")}
    return inherited | own


def shows_progress(arguments: list[str]) -> bool:
    """Whether somebody watches, and there is an end to come closer to."""
    return on_terminal() and ("--until-caught-up" in arguments or job_of(arguments)[0] in ENDING_JOBS)


def end_with_parent() -> None:
    """Where the kernel can: kill -9 of this process ends spark-submit too, so that no second driver stays behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="event-lake-run-") as folder:
        pid_file = Path(folder) / "pid"
        asked: list[int] = []

        def ask(number: int, frame: FrameType | None) -> None:
            asked.append(number)
            pass_on()

        def pass_on() -> None:
            if asked and pid_file.exists() and (pid := pid_file.read_text()):
                os.kill(int(pid), asked[0])
                asked.clear()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, ask)
        watched = shows_progress(arguments)
        job = subprocess.Popen(
            command(arguments),
            env=environment(pid_file),
            start_new_session=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - there is one thread
            **(pipes() if watched else {}),
        )
        wait = JobOutput(job).wait if watched else job.wait
        while True:
            try:
                code = wait(timeout=1)
                return code if code >= 0 else 128 - code
            except subprocess.TimeoutExpired:
                pass_on()  # asked before the job could listen: asked again now that it may


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
