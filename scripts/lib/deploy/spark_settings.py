"""The settings that the job needs from whoever submits it, as spark-submit takes them.

What it can set itself stands in `event_lake.session` alone; of that, what the guarantees rest on is repeated in the
request, from there, so that a console shows it too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deploy.environment import INTERPRETER, NAME
from deploy.errors import RequestError
from deploy.release import ENVIRONMENT, MODULES, Release
from event_lake.session import FIXED

# EMR 7.0 and later (Delta 3: delta-spark, before that delta-core), "Using Delta Lake OSS with EMR Serverless".
DELTA_JARS = "/usr/share/aws/delta/lib/delta-spark.jar,/usr/share/aws/delta/lib/delta-storage.jar"


def emr_settings(release: Release, driver_environment: str, chosen: Mapping[str, str]) -> dict[str, str]:
    """For EMR: packages, the packed environment, Delta. `driver_environment`: the setting's prefix that gives the
    driver an environment variable, where it runs in the cluster. `chosen` are the user's own settings; jars among
    them, such as that of AWS's connector, come behind Delta's."""
    chosen = dict(chosen)
    jars = chosen.pop("spark.jars", "")
    own = {
        "spark.submit.pyFiles": release.file(MODULES),
        "spark.archives": f"{release.file(ENVIRONMENT)}#{NAME}",
        f"{driver_environment}.PYSPARK_DRIVER_PYTHON": INTERPRETER,
        f"{driver_environment}.PYSPARK_PYTHON": INTERPRETER,
        "spark.executorEnv.PYSPARK_PYTHON": INTERPRETER,
        "spark.jars": f"{DELTA_JARS},{jars}" if jars else DELTA_JARS,
        **FIXED,
    }
    return own | _allowed(chosen, own)


def glue_settings(chosen: Mapping[str, str]) -> dict[str, str]:
    """For Glue, which brings Delta and installs packages by arguments of its own."""
    return FIXED | _allowed(chosen, FIXED)


def settings_of(words: Sequence[str]) -> dict[str, str]:
    """Of `--conf key=value`, each. Raises RequestError."""
    settings = {}
    for word in words:
        key, _, value = word.partition("=")
        if not key.startswith("spark.") or not value:
            raise RequestError(f"--conf {word}: expected spark.KEY=VALUE")
        settings[key] = value
    return settings


def as_options(settings: Mapping[str, str]) -> list[str]:
    """`--conf key=value` for each. Raises RequestError for what would not come through as one word."""
    for key, value in settings.items():
        if not value or any(sign in value for sign in " \t\r\n\"'\\"):
            raise RequestError(f"{key} is {value!r}; a service that takes settings as one text would split it")
    return [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]


def _allowed(chosen: Mapping[str, str], own: Mapping[str, str]) -> Mapping[str, str]:
    for key in chosen:
        if key in own:
            raise RequestError(f"--conf {key}: the job needs {own[key]} there")
    return chosen
