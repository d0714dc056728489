"""What is said of a dead-letter topic's sorting, planning and replaying."""

from bench.dlt import rows
from bench.dlt_desk import Done


def test_rates_are_of_the_time_that_each_step_took() -> None:
    """A rate that is kept too fast is off as much as one that is too slow."""
    done = Done(
        grouped=1_000,
        group_seconds=0.5,
        group_cpu_seconds=0.01,
        planned=900,
        plan_seconds=0.3,
        plan_cpu_seconds=0.018,
        peak_mib=120.4,
        replayed=500,
        replay_seconds=0.25,
        replay_cpu_seconds=0.01,
        rate=2_060,
    )

    assert dict(rows(done)) == {
        "dead letters": "1,000",
        "grouping, records/s": "2,000",
        "grouping, CPU us/record": "10.0",
        "planning, records/s": "3,000",
        "planning, CPU us/record": "20.0",
        "grouping and planning, peak RSS MiB": "120",
        "replay without a rate, records/s": "2,000",
        "replay, CPU us/record": "20.0",
        "replay at 2,000 a second, off by %": "3.0",
    }
