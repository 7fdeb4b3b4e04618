"""The packages of event-lake; `jobs/` is their root, as it is for spark-submit."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="event-lake",
    version="0.1.0",
    description="Events from a Kinesis stream to a clean table, nothing lost, nothing twice",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    package_dir={"": "jobs"},
    packages=find_packages("jobs"),
    # Spark and Delta come with the cluster; requirements/run.txt has the exact versions that are tested.
    install_requires=["boto3>=1.34", "fastjsonschema>=2.22", "orjson>=3.10", "pyarrow>=15"],
    extras_require={
        "local": ["pyspark==4.1.1", "delta-spark==4.2.0", "pandas<3"],
        "prometheus": ["prometheus-client>=0.26"],  # for metrics.prometheus_port
        "report": ["matplotlib>=3.9"],
    },
)
