"""A real Dask scheduler with worker processes counts to the same bits as one machine, whatever happens to a worker."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from store.monitor import binning, scan_predictions
from store.monitor.comparing import compare
from store.monitor.files.table_files import open_files
from store.monitor.workers import process
from store.protocol import DriftReport, DriftRequest, Refusal
from store.settings import MonitorSettings, load
from tests.store.monitor.conftest import DEPLOYMENT, Bench

pytest.importorskip("distributed")
from store.monitor.cluster import Cluster

WORKERS = 3
ROWS, GROUPS = 200_000, 50


class Dask:
    """`dask scheduler` and `dask worker` processes on this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        self.address = ""

    def start(self, workers: int = WORKERS) -> None:
        said = self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.address = self._wait(said, r"Scheduler at:\s+(tcp://\S+)")
        for _ in range(workers):
            self.worker()

    def worker(self) -> subprocess.Popen[str]:
        process = self._start(
            "worker", self.address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard",
            "--local-directory", str(self.folder),
        )  # fmt: skip
        self._wait(process, r"Registered to:\s+(tcp://\S+)")
        return process

    def close(self) -> None:
        for started in reversed(self.processes):
            started.kill()
            started.wait()
            assert started.stderr
            started.stderr.close()

    def _start(self, *command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *command], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            cwd=Path(__file__).parents[3],
        )  # fmt: skip
        self.processes.append(process)
        return process

    @staticmethod
    def _wait(process: subprocess.Popen[str], pattern: str) -> str:
        assert process.stderr
        said = []
        for line in process.stderr:
            said.append(line)
            found = re.search(pattern, line)
            if found:
                return found[1]
        raise AssertionError("".join(said))


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    started = Dask(tmp_path_factory.mktemp("dask"))
    try:
        started.start()
        yield started
    finally:
        started.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A reference and a folder of current files, with numbers, nulls, categories and new ones, CSV among Parquet."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "current").mkdir()
    rng = np.random.default_rng(1)

    def table(rows: int, shift: float, more: int) -> pa.Table:
        numbers = rng.normal(shift, 1e3, rows)
        return pa.table(
            {
                "x": pa.array(numbers, mask=rng.random(rows) < 0.1),
                "tail": np.exp(rng.normal(0, 3, rows)),
                "k": np.array([f"c{place}" for place in range(40 + more)])[rng.integers(0, 40 + more, rows)],
            }
        )

    parquet.write_table(table(ROWS, 0.0, 0), folder / "reference.parquet", row_group_size=ROWS // GROUPS)
    parquet.write_table(table(ROWS, 50.0, 5), folder / "current" / "a.parquet", row_group_size=ROWS // GROUPS)
    rows = table(1_000, 80.0, 3).to_pydict()
    lines = [
        ",".join(rows),
        *(",".join("" if v is None else str(v) for v in row) for row in zip(*rows.values(), strict=True)),
    ]
    (folder / "current" / "b.csv").write_text("\n".join(lines))
    return str(folder / "reference.parquet"), str(folder / "current")


def report(
    files: tuple[str, str], scheduler: str = "", progress: Callable[[int, int], None] | None = None
) -> DriftReport:
    request = DriftRequest(files[1], files[0], engine="dask" if scheduler else "", scheduler=scheduler)
    return compare(request, MonitorSettings(), progress)


def bits(found: DriftReport) -> bytes:
    return msgspec.json.encode(found)


def test_the_report_is_equal_bit_for_bit_to_one_machines(dask: Dask, files: tuple[str, str]) -> None:
    assert bits(report(files, dask.address)) == bits(report(files))


def test_counts_and_moments_are_the_same_integers(dask: Dask, files: tuple[str, str]) -> None:
    here = binning.profile(open_files([files[0]]))
    with Cluster(dask.address) as cluster:
        there = binning.profile(open_files([files[0]]), engine=cluster.map)
    assert there.features == here.features
    assert there.tally.counts.tobytes() == here.tally.counts.tobytes()
    assert there.tally.moments == here.tally.moments


def test_a_worker_killed_in_the_middle_changes_nothing(dask: Dask, files: tuple[str, str]) -> None:
    victim = dask.worker()
    done: list[int] = []

    def progress(number: int, _parts: int) -> None:
        done.append(number)
        if len(done) == 5:
            # Tasks were handed to it: it holds some of those under way, or their results.
            victim.send_signal(signal.SIGKILL)
            victim.wait()

    assert bits(report(files, dask.address, progress)) == bits(report(files))
    assert max(done) == 2 * GROUPS + 1


@pytest.mark.parametrize(
    ("killed", "said"), [("workers", "has no workers any more"), ("scheduler", r"scheduler at tcp://\S+ is gone")]
)
def test_what_is_left_of_a_cluster_is_said_in_words(
    files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: str, said: str
) -> None:
    """All its workers, or its scheduler, are killed in the middle: nobody waits for what cannot come."""
    monkeypatch.setattr("store.monitor.cluster.PATIENCE", 2.0)
    small = Dask(tmp_path)
    try:
        small.start(1)

        def progress(number: int, _parts: int) -> None:
            victim = small.scheduler if killed == "scheduler" else small.processes[-1]
            if number == 5:
                victim.send_signal(signal.SIGKILL)
                victim.wait()

        with pytest.raises(Refusal, match=said):
            report(files, small.address, progress)
    finally:
        small.close()


def test_where_the_command_stands_is_nothing_to_the_workers(
    dask: Dask, files: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(files[1]).parent)
    near = ("reference.parquet", "current")
    assert bits(report(near, dask.address)) == bits(report(near)) == bits(report(files))


def test_a_file_that_was_replaced_is_read_anew(dask: Dask, files: tuple[str, str], tmp_path: Path) -> None:
    """The processes live on: they keep no file of the last task open."""
    path = tmp_path / "current.parquet"
    for rows in (100, 200):
        parquet.write_table(pa.table({"x": np.arange(rows, dtype=float)}), path)
        assert report((files[0], str(path)), dask.address).rows == rows


def test_what_cannot_be_read_is_refused_as_on_one_machine(dask: Dask, files: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "broken.parquet"
    content = bytearray(Path(files[0]).read_bytes())
    content[4:40_000] = b"?" * 39_996
    path.write_bytes(content)
    said = []
    for scheduler in ("", dask.address):
        with pytest.raises(Refusal, match=r"broken\.parquet cannot be read") as refused:
            report((files[0], str(path)), scheduler)
        said.append(refused.value.message)
    assert said[0] == said[1]


def test_no_scheduler_is_said_in_words(files: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.monitor.cluster.PATIENCE", 0.5)
    with pytest.raises(Refusal, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        report(files, "tcp://127.0.0.1:9")


def test_the_engine_needs_a_scheduler(files: tuple[str, str]) -> None:
    with pytest.raises(Refusal, match="needs --scheduler"):
        compare(DriftRequest(files[1], files[0], engine="dask"), MonitorSettings())


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('engine = "dask"', "scheduler is ''; engine dask expects for instance tcp://host:8786"),
        ('engine = "dask"\nscheduler = "host:8786"', "scheduler is 'host:8786'"),
        ('engine = "ray"\nscheduler = "tcp://host:1"', "Invalid enum value 'ray'"),
    ],
)
def test_a_store_that_names_no_cluster_is_refused_in_words(tmp_path: Path, written: str, said: str) -> None:
    (tmp_path / "quarterdeck.toml").write_text(f"[monitor]\n{written}\n")
    with pytest.raises(Refusal, match=re.escape(said)):
        load(tmp_path)


def test_the_agent_counts_a_large_file_there_to_the_same_windows(
    dask: Dask, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.reference(bench.register(), bench.file("SELECT i % 40 AS x, 'c' || (i % 3) AS k FROM range(400) t(i)"))
    path = bench.file(
        "SELECT i AS prediction_id, now()::TIMESTAMP - to_minutes((i % 90)::INT) AS timestamp, i % 50 AS x,"
        " 'c' || (i % 4) AS k FROM range(300000) t(i)"
    )
    monkeypatch.setattr("store.monitor.clustered.LEAST_ROWS", 1_000)
    there = MonitorSettings(engine="dask", scheduler=dask.address)
    asked: list[str] = []
    run = process.run
    monkeypatch.setattr(
        "store.monitor.clustered.process.run", lambda *some, **more: (asked.append(some[0]), run(*some, **more))[1]
    )
    found = [
        bench.database.reader.read(
            lambda c, s=settings: scan_predictions(c, path, "parquet", DEPLOYMENT, "d", s, shared=path)
        )
        .parts[0]
        .counts
        for settings in (MonitorSettings(), there)
    ]
    assert asked == ["cluster"]
    for name in ("starts", "rows", "first", "last", "ends", "slots", "counts"):
        assert getattr(found[0], name).tobytes() == getattr(found[1], name).tobytes()
    for name in ("sums", "lows", "highs"):
        assert getattr(found[0].moments, name).tobytes() == getattr(found[1].moments, name).tobytes()
    assert found[0].names == found[1].names
    assert sum(names.counts["c3"] for names in found[1].names.values()) == 75_000


def test_without_its_cluster_the_agent_counts_by_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.reference(bench.register(), bench.file("SELECT i AS x FROM range(100) t(i)"))
    path = bench.file("SELECT i AS prediction_id, now() AS timestamp, 7 AS x FROM range(70000) t(i)")
    monkeypatch.setattr("store.monitor.clustered.LEAST_ROWS", 1_000)
    gone = MonitorSettings(engine="dask", scheduler="tcp://127.0.0.1:9")
    monkeypatch.setattr("store.monitor.clustered._SECONDS", 5.0)
    scan = bench.database.reader.read(
        lambda c: scan_predictions(c, path, "parquet", DEPLOYMENT, "d", gone, shared=path)
    )
    assert scan.counted == 70_000
