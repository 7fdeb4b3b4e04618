"""Which Spark the tests run on, where its jars are, and what of the suite is left out there, and why.

A lane is an environment of its own (`scripts/test --lane 3.5`). 4.1 runs the suite; what another lane leaves out stands
here and nowhere else, so that a new test runs in all of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = Path(sys.prefix).name  # .venv, or that of another lane: .venv-3.5
LANE = ENVIRONMENT.removeprefix(".venv").removeprefix("-") or "4.1"
JARS = ROOT / ".cache" / ENVIRONMENT.replace(".venv", "jars")

ONLY_ON_3_5 = {"of Spark 3.5": ["test_lanes.py::test_kinesis_is_refused_with_the_way_on"]}
ADMISSION = "kinesis/test_spark_4_2.py::test_"
BACKFILL = "test_backfill.py::test_"
DELETED = "deletion/test_deletion.py::test_every_row_of_a_person_is_gone_from_every_table_and_its_bytes_from_the_disk"
VARIANT = "upkeep/test_payload_variant.py::test_"
SUBMITTED = "test_stream_events.py::test_"

# By lane and reason: files, folders and tests, below tests/.
LEFT_OUT: dict[str, dict[str, list[str]]] = {
    "4.1": {
        **ONLY_ON_3_5,
        "admission control for sources in Python: Spark 4.2 and later": [
            f"{ADMISSION}available_now_takes_what_had_arrived_in_bounded_batches_and_ends",
            f"{ADMISSION}available_now_follows_splits",
            f"{ADMISSION}progress_tells_how_far_behind_the_tip_each_shard_is",
        ],
    },
    "4.2": ONLY_ON_3_5,
    "3.5": {
        "of the exact source, which is one in Python: Spark 4.0 and later": [
            "conformance",
            "contracts/test_contracts_in_the_job.py::test_contracts_are_in_no_plan",
            "kinesis",
            "server",
            "test_audit.py",
            "test_audit_span.py",
            "test_bench_source.py",
            "test_executors.py",
            "test_judgement.py",
            "test_notebooks.py",
        ],
        "of VARIANT: Spark 4.0 and later": [
            f"{VARIANT}every_payload_is_stored_to_the_byte_and_what_spark_can_make_a_variant_of_as_one",
            f"{VARIANT}duckdb_reads_either_form_and_delta_rs_the_plain_one_and_says_that_it_does_not_know_the_other",
            f"{VARIANT}a_table_that_was_made_without_is_refused_and_is_written_anew_with_it_and_back",
            f"{VARIANT}a_stream_into_a_table_with_variant_is_stored_once_and_an_audit_finds_nothing_wrong",
            f"{DELETED}[delta lake.payload_variant=plain]",
            f"{DELETED}[delta lake.payload_variant=shredded]",
        ],
        "of shards, positions, slices or retention, which a table does not have": [
            "test_pipeline.py::test_every_duplicate_is_listed_with_its_first_copy",
            "test_pipeline.py::test_records_lost_to_retention_are_one_row_of_the_gaps_table_where_that_is_allowed",
            "test_pipeline.py::test_the_line_of_a_micro_batch_says_how_far_behind_the_tip_it_ends",
            "test_payloads.py",
            f"{SUBMITTED}asked_to_stop_in_a_micro_batch_it_finishes_it_and_begins_no_other",
            f"{SUBMITTED}records_lost_to_retention_end_with_exit_code_3_and_name_the_shard",
            f"{SUBMITTED}a_missing_stream_ends_with_exit_code_1_and_is_named",
            "test_recovery.py",
            "test_belonging.py",
            "telemetry/test_reporting.py",
            "report/test_report_figures.py",
        ],
        "has an audit in it, which reads by the exact source": [
            "deletion/test_deleted_lake.py",
            f"{BACKFILL}after_kill_9_in_a_backfill_it_goes_on_and_everything_is_there_once",
            "test_replay.py::test_what_was_fixed_is_stored_once_what_was_not_stays_open_and_a_second_replay_finds_nothing",
            "upkeep/test_repartition.py::test_an_audit_of_a_lake_by_the_hour_is_right_and_finds_a_row_in_the_wrong_hour",
        ],
        "a matter of time: it rests on what other tests show in this lane": [
            f"{BACKFILL}a_micro_batch_of_the_job_that_is_stored_but_not_committed_is_no_hindrance_and_finds_no_copies_of_itself",
            f"{BACKFILL}what_was_deleted_is_not_brought_back_by_an_archive_nor_by_the_stream_after_it",
            "contracts/test_contracts_in_the_job.py::test_an_event_that_breaks_its_contract_is_set_aside_or_only_counted",
            "contracts/test_typed_views.py",
            "deletion/test_deletion.py::test_a_deletion_that_is_killed_between_any_two_steps_is_finished_by_the_same_one",
            f"{DELETED}[json]",
            f"{DELETED}[parquet]",
            "test_event_types.py",
            "test_hostile.py",
            f"{SUBMITTED}a_driver_that_stood_still_is_followed_by_another_and_commits_nothing_when_it_goes_on",
            f"{SUBMITTED}an_older_checkpoint_ends_with_exit_code_3_and_says_what_to_do",
            f"{SUBMITTED}drained_stopped_and_drained_again_everything_is_stored_once",
            f"{SUBMITTED}killed_while_it_moves_plain_files_every_event_is_there_once_after_a_restart[json]",
            "test_terminal_progress.py",
            "upkeep/test_catalog.py",
            "upkeep/test_keeper.py::test_a_stream_whose_files_are_put_together_between_its_micro_batches_stores_every_event_once",
            "upkeep/test_repartition.py::test_a_table_that_is_written_anew_by_the_hour_has_every_row_knows_every_micro_batch_and_goes_back",
            "upkeep/test_stopped.py",
        ],
        "needs S3A, which this lane has no jars for": [
            "test_chaos.py",
            "test_log_listing.py",
            "test_security.py",
            "test_verify.py",
        ],
        "of requests and packages for EMR 8.1 and Glue 6.0": ["test_packages.py", "test_submit.py"],
        "of tables and checkpoints that the job left on Spark 4.1": ["test_released.py"],
        "no Spark in it: the same in every lane": [
            *(f"contracts/test_contract_{what}.py" for what in ("language", "set")),
            *(f"deduplicate/test_{what}.py" for what in ("index_model", "manifest", "segment")),
            "deletion/test_condition.py",
            *(f"report/test_report_{what}.py" for what in ("concerns", "page")),
            *(f"telemetry/test_{what}.py" for what in ("alarms", "measures")),
            *(f"test_chaos_{what}.py" for what in ("proxy", "told", "truth")),
            "telemetry/test_outlets.py",
            "test_compressed.py",
            "test_config.py",
            "test_docs.py",
            "test_documents.py",
            "test_good_events.py",
            "test_key.py",
            "test_lake_check.py",
            "test_put_events.py",
            "test_requirements.py",
            "test_s3_client.py",
            "test_terraform.py",
            "test_traffic.py",
            "test_verdict.py",
        ],
    },
}


def reason_to_leave_out(name: str) -> str | None:
    """Of a file or folder (`upkeep/test_keeper.py`) or a test in it (`...::test_name[parameters]`)."""
    test = name.partition("[")[0]
    file = test.partition("::")[0]
    names = {name, test, file, *(str(folder) for folder in Path(file).parents)}
    return next((reason for reason, left_out in LEFT_OUT[LANE].items() if names & {*left_out}), None)
