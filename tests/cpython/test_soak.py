"""The soak tool: some seconds of it, and that it notices what it is there for."""
import argparse
import asyncio
import csv
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.append(str(ROOT / 'tools'))

import soak  # noqa: E402
from soak_clients import KINDS  # noqa: E402
from soak_traffic import TappedLoop, Traffic  # noqa: E402

pytestmark = pytest.mark.once  # boards do not see the version of CPython

SLOW = ['stalled headers', 'idle']  # wait for the board's time limits
PAGE = b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nword'


def test_some_seconds(tmp_path):
    command = [sys.executable, ROOT / 'tools' / 'soak.py', '--minutes', '0.05', '--rest', '2', '--sample', '0.5',
               '--heap', '512', '--no-plot', '--directory', tmp_path,
               '--only', *(kind for kind in KINDS if kind not in SLOW)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100)
    assert done.returncode == 0, done.stdout
    summary = (tmp_path / 'SUMMARY.md').read_text()
    assert 'Verdict: **passed**' in summary and summary in done.stdout
    with (tmp_path / 'samples.csv').open() as file:
        rows = list(csv.DictReader(file))
    rests = [row for row in rows if row['is_rest'] == 'True']
    assert len(rows) > len(rests) >= 2
    assert all(0 < int(row['largest']) <= int(row['free']) < int(row['total']) < 512 * 1024 for row in rows)
    assert {row['connections'] for row in rests} == {'0'}
    assert int(rows[-1]['answered']) > 50 and rows[-1]['wrong'] == '0'


@pytest.mark.parametrize('answer, tally', [
    (PAGE, {'wrong': 1}),
    (PAGE[:20], {'wrong': 1}),
    (b'', {'uncalled': 1}),
    (PAGE.replace(b'200', b'503'), {'uncalled': 1}),
])
def test_wrong_answers_and_refusals(answer, tally, tmp_path, capsys):
    async def serve(reader, writer):
        await reader.readuntil(b'\r\n\r\n')
        writer.write(answer)
        writer.close()

    async def visit():
        async with await asyncio.start_server(serve, '127.0.0.1', 0) as server:
            traffic = Traffic(server.sockets[0].getsockname()[1], 30, 2, connections, tmp_path, 1,
                              {'pages': KINDS['pages']})
            await traffic.run_all()
            while traffic.open:
                await asyncio.sleep(0.01)
            return {name: value for name, value in vars(traffic.tallies['pages']).items() if value}

    (tmp_path / 'files').mkdir()
    with closing(TappedLoop()) as loop:
        connections = 8
        assert loop.run_until_complete(visit()) == tally
        printed = capsys.readouterr().out
        assert printed.startswith('pages: ')
        assert repr(answer)[2:-1] in printed or 'without a crowd' in printed
        connections = 1  # so that one is a crowd
        assert loop.run_until_complete(visit()) == (tally if 'wrong' in tally else {'refused': 1})


def sample(minute, free, largest=20_000):
    return soak.Sample(minute * 60, True, free, free, largest, 98_304, 2, 4, 0, 0, 0, 0)


@pytest.mark.parametrize('frees, verdict', [
    ([30_000] * 60, True),
    ([30_000 + 300 * (-1) ** i for i in range(60)], True),
    ([30_000 - 32 * i for i in range(60)], False),  # 1,920 bytes per hour
    ([20_000 + 200 * i for i in range(30)] + [30_000] * 30, True),  # the first half is not judged
    ([30_000 - 3000 * (i % 2) for i in range(60)], True),  # something is held now and then
    ([30_000 + 9000 * (i % 11 == 0) for i in range(60)], False),  # nothing can be said of what jumps so much
    ([30_000] * 15, None),
])
def test_memory_is_judged(frees, verdict):
    hour = soak.Soak(argparse.Namespace(), [sample(i, free) for i, free in enumerate(frees)])
    assert soak.judge_memory(hour)[1] is verdict


def test_the_largest_block_is_judged():
    def judge(*largest):
        samples = [sample(i, 30_000, largest[i * len(largest) // 60]) for i in range(60)]
        return soak.judge_largest(soak.Soak(argparse.Namespace(), samples))[1]

    assert judge(20_000) and judge(9000, 20_000) and judge(20_000, 20_000, 20_000, 19_000)
    assert not judge(20_000, 20_000, 20_000, 17_000)


def test_leaks_of_descriptors_and_what_the_board_prints():
    hour = soak.Soak(argparse.Namespace(), [sample(i, 30_000) for i in range(60)], descriptors=4)
    unmet = [text for text, is_met in soak.judge(hour) if not is_met]
    assert [text[:8] for text in unmet] == ['at least']  # nothing was answered
    hour.descriptors = 3
    hour.output.append('MemoryError')
    hour.left_files.append('1.bin')
    assert [text[:8] for text, is_met in soak.judge(hour) if not is_met] == [
        'at least', 'descript', 'no file ', 'nothing ']
