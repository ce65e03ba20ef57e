"""How long do pictures take behind so many drafters and renderers? A simulation of the two serving stages.

    python benchmarks/queueing.py [--trace FILE] [--rate 5.5] [--minutes 30] [--drafters 1 2 4] [--renderers 1 2]
        [--codes 256] [--step-ms 8 0.1] [--render-ms 20 12] [--pool 64] [--rows 1] [--batch 8] [--json]
    python benchmarks/queueing.py --check [--seconds 60]

A drafter drafts all its pictures together: each step gives each of them one code and takes step-ms = A + B x pictures,
and a new picture joins at the next step if the key-value pool has room for its rows. A renderer takes up to a batch of
drafted pictures, oldest first, for render-ms = C + D x pictures. A request goes to the drafter that has most room; if
none has any, it waits, first come first served.

Requests arrive as in a trace (a CSV with a column TIMESTAMP, such as those of AzurePublicDataset; time is stretched to
the rate), else by a process that bursts as one of them does: Poisson, whose rate changes every two minutes and every
second and a half by factors from gamma distributions. ``index_of_dispersion`` (variance by mean of the numbers in
windows; 1 for Poisson) says how bursty the arrivals were.

``--check`` starts a real server here, takes the costs of its stages from what it counts under one client and under
sixteen, sends it requests of that process at ``--load`` of what the sixteen got, simulates the very same requests on
one server that does both stages in turns, as the real one does, and prints both.
"""

import argparse
import asyncio
import csv
import heapq
import itertools
import json
import random
import re
import signal
import statistics
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

SLOW = (120.0, 0.045)  # seconds between changes of the rate, and the variance of its factors
FAST = (1.5, 0.025)
WINDOWS = (1, 10, 60)
ROUTE = "/v1/images/generations"
PROMPT = "a cat on the left and a dog on the right"


@dataclass(frozen=True)
class Costs:
    """What the stages take.

    Attributes:
        codes: steps of a picture.
        step_s: of a drafter: seconds of a step, and more for each picture.
        render_s: of a renderer: seconds of a batch, and more for each picture.
        pool: rows of a drafter's key-value pool.
        rows: of a picture: 2 with guidance by two sequences, 1 where it is learnt.
        batch: pictures that a renderer takes at once.
        beside_s: seconds that a request takes besides, such as its HTTP.
    """

    codes: int
    step_s: tuple[float, float]
    render_s: tuple[float, float]
    pool: int
    rows: int
    batch: int
    beside_s: float = 0.0


@dataclass(eq=False)
class Server:
    """A machine that drafts, renders or does both in turns.

    Attributes:
        active: pictures that it drafts: request and the step that will be its last; the first ends first.
        steps: that it has made.
        busy_s: seconds that it worked.
    """

    drafts: bool
    renders: bool
    active: deque[tuple[int, int]] = field(default_factory=deque)
    steps: int = 0
    works: bool = False
    busy_s: float = 0.0


class Simulation:
    """Requests through the stages.

    Args:
        arrivals: seconds, ascending.
        servers: of both stages.

    Attributes:
        latency_s: of each request.
        ended: when the last one was drawn.
    """

    def __init__(self, arrivals, costs, servers):
        self.arrivals, self.costs, self.servers = arrivals, costs, servers
        self.waiting, self.drafted = deque(), deque()
        self.latency_s = [0.0] * len(arrivals)
        self.numbers = itertools.count()
        self.events = [(at, next(self.numbers), None, request) for request, at in enumerate(arrivals)]
        heapq.heapify(self.events)
        while self.events:
            now, _, server, what = heapq.heappop(self.events)
            if server is None:
                self.waiting.append(what)
            else:
                server.works = False
                self.end(server, what, now)
            self.begin(now)
            self.ended = now

    def end(self, server, rendered, now):
        """A server has rendered some pictures, or, where that is None, made a step."""
        if rendered is not None:
            for request in rendered:
                self.latency_s[request] = now - self.arrivals[request] + self.costs.beside_s
            return
        server.steps += 1
        while server.active and server.active[0][1] <= server.steps:
            self.drafted.append(server.active.popleft()[0])

    def begin(self, now):
        """Give work to all servers that have none."""
        while self.waiting and (free := max((s for s in self.servers if s.drafts), key=self.room)):
            if self.room(free) < self.costs.rows:
                break
            # One that joins while a step is made begins with the next.
            free.active.append((self.waiting.popleft(), free.steps + free.works + self.costs.codes))
        for server in self.servers:
            if server.works:
                continue
            if server.renders and self.drafted:
                taken = [self.drafted.popleft() for _ in range(min(self.costs.batch, len(self.drafted)))]
                self.work(server, now, self.costs.render_s, len(taken), taken)
            elif server.drafts and server.active:
                self.work(server, now, self.costs.step_s, len(server.active), None)

    def room(self, server):
        """Rows of its pool that are free."""
        return self.costs.pool - self.costs.rows * len(server.active)

    def work(self, server, now, seconds, count, what):
        """Let a server work for so long."""
        took = seconds[0] + seconds[1] * count
        server.works, server.busy_s = True, server.busy_s + took
        heapq.heappush(self.events, (now + took, next(self.numbers), server, what))


def bursty(rate, seconds, seed=0):
    """Arrivals of the process above."""
    draw = random.Random(seed)
    slow, fast = ({}, {})

    def factor(known, kind, at):
        every, variance = kind
        return known.setdefault(int(at / every), draw.gammavariate(1 / variance, variance))

    most, at, found = 4 * rate, 0.0, []
    while (at := at + draw.expovariate(most)) < seconds:
        if draw.random() < rate * factor(slow, SLOW, at) * factor(fast, FAST, at) / most:
            found.append(at)
    return found


def traced(path, rate, seconds):
    """Arrivals of a trace, its time stretched to the rate."""
    with path.open(newline="", encoding="utf-8") as file:
        texts = [row["TIMESTAMP"] for row in csv.DictReader(file)]
    times = sorted(datetime.fromisoformat(text[:26]).timestamp() for text in texts if text)  # microseconds
    stretch = len(times) / (times[-1] - times[0]) / rate
    return [at for at in ((each - times[0]) * stretch for each in times) if at < seconds]


def dispersion(arrivals):
    """Window in seconds → variance by mean of the number of arrivals in it."""
    found = {}
    for window in WINDOWS:
        counts = [0] * int(arrivals[-1] // window)
        for at in arrivals:
            if at // window < len(counts):
                counts[int(at // window)] += 1
        if len(counts) > 1:
            found[window] = round(statistics.pvariance(counts) / statistics.mean(counts), 2)
    return found


def told(simulation):
    """Percentiles and shares of work, as JSON."""
    cuts = statistics.quantiles(simulation.latency_s, n=100)
    busy = {
        "drafters": [s for s in simulation.servers if s.drafts],
        "renderers": [s for s in simulation.servers if s.renders],
    }
    shares = {
        name: round(statistics.mean(s.busy_s for s in which) / simulation.ended, 3) for name, which in busy.items()
    }
    percentiles = {f"p{p}_s": round(cuts[p - 1], 3) for p in (50, 95, 99)}
    return {
        "requests": len(simulation.latency_s),
        **percentiles,
        "max_s": round(max(simulation.latency_s), 3),
        "busy": shares,
    }


def table(arrivals, costs, drafters, renderers):
    """A row for each number of drafters and renderers."""
    rows = []
    for count, others in itertools.product(drafters, renderers):
        servers = [*(Server(True, False) for _ in range(count)), *(Server(False, True) for _ in range(others))]
        simulation = Simulation(arrivals, costs, servers)
        rows.append({"drafters": count, "renderers": others, **told(simulation)})
    return rows


def line(low, high):
    """(n, seconds) twice → seconds of none, and of each."""
    if high[0] - low[0] < 0.5:  # too near for a slope
        return 0.0, high[1] / high[0]
    each = max(0.0, (high[1] - low[1]) / (high[0] - low[0]))
    return max(0.0, low[1] - each * low[0]), each


async def asked(url, arrivals):
    """Latencies of real requests, sent when they arrive."""
    import httpx

    async with httpx.AsyncClient(base_url=url, timeout=300, limits=httpx.Limits(max_connections=None)) as client:
        begun = time.monotonic()

        async def ask(number, at):
            await asyncio.sleep(max(0.0, begun + at - time.monotonic()))
            started = time.monotonic()
            answer = await client.post(ROUTE, json={"prompt": PROMPT, "seed": number})
            answer.raise_for_status()
            return time.monotonic() - started

        return await asyncio.gather(*(ask(number, at) for number, at in enumerate(arrivals)))


def counted(url):
    """Steps, groups of pictures rendered and seconds of rendering that a server has counted."""
    import httpx

    text = httpx.get(f"{url}/metrics", timeout=60).text
    names = ("steps_total", "render_seconds_count", "render_seconds_sum")
    return {name: float(found[1]) for name in names if (found := re.search(rf"^lantu_{name} (\S+)$", text, re.M))}


def at_once(url, clients, seconds):
    """Costs of a server that so many clients keep busy, see ``costs_of``."""
    import httpx

    async def client(http, number):
        done = 0
        while time.monotonic() < end:
            (await http.post(ROUTE, json={"prompt": PROMPT, "seed": 1000 * number + done})).raise_for_status()
            done += 1
        return done

    async def all_of_them():
        async with httpx.AsyncClient(base_url=url, timeout=300) as http:
            return sum(await asyncio.gather(*(client(http, number) for number in range(clients))))

    before, started = counted(url), time.monotonic()
    end = started + seconds
    pictures = asyncio.run(all_of_them())
    took, after = time.monotonic() - started, counted(url)
    steps, renders, render_s = (
        after[name] - before[name] for name in ("steps_total", "render_seconds_count", "render_seconds_sum")
    )
    return {
        "pictures": pictures,
        "steps": steps,
        "step_s": (took - render_s) / steps,
        "together": pictures / renders,
        "render_s": render_s / renders,
    }


def costs_of(url, seconds):
    """The costs of a real server's stages, from one client and from sixteen."""
    one, many = at_once(url, 1, seconds), at_once(url, 16, seconds)
    codes = round(one["steps"] / one["pictures"])
    drafted = many["pictures"] * codes / many["steps"]  # in a step, on average
    step = line((1, one["step_s"]), (drafted, many["step_s"]))
    render = line((one["together"], one["render_s"]), (many["together"], many["render_s"]))
    return Costs(codes, step, render, pool=64, rows=1, batch=32), many["pictures"] / seconds


def check(seconds, load, name):
    """The real server and the simulated one, for the same requests."""
    import serving

    process, url = serving.start(name)
    try:
        at_once(url, 4, 2)  # to warm up
        costs, capacity = costs_of(url, seconds / 4)
        arrivals = bursty(load * capacity, seconds)
        real = statistics.quantiles(asyncio.run(asked(url, arrivals)), n=100)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    simulated = told(Simulation(arrivals, costs, [Server(True, True)]))
    rows = {f"p{p}_s": {"real": round(real[p - 1], 3), "simulated": simulated[f"p{p}_s"]} for p in (50, 95, 99)}
    for row in rows.values():
        row["simulated_by_real"] = round(row["simulated"] / row["real"], 2)
    return {"requests": len(arrivals), "per_s": round(len(arrivals) / arrivals[-1], 2), "costs": vars(costs), **rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", type=Path)
    parser.add_argument("--rate", type=float, default=5.5, help="requests a second")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--drafters", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--renderers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--codes", type=int, default=256)
    parser.add_argument("--step-ms", type=float, nargs=2, default=[8, 0.1])
    parser.add_argument("--render-ms", type=float, nargs=2, default=[20, 12])
    parser.add_argument("--pool", type=int, default=64)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--seconds", type=float, default=60, help="of --check")
    parser.add_argument("--load", type=float, default=0.5, help="of --check: share of what the server can draw")
    parser.add_argument("--model", help="of --check")
    parser.add_argument("--json", action="store_true")
    asked_for = parser.parse_args()
    if asked_for.check:
        print(json.dumps(check(asked_for.seconds, asked_for.load, asked_for.model), indent=1))
        return
    seconds = 60 * asked_for.minutes
    if asked_for.trace:
        arrivals = traced(asked_for.trace, asked_for.rate, seconds)
    else:
        arrivals = bursty(asked_for.rate, seconds, asked_for.seed)
    if len(arrivals) < 2:
        sys.exit("queueing: too few requests: raise --rate or --minutes")
    step, render = ([each / 1000 for each in pair] for pair in (asked_for.step_ms, asked_for.render_ms))
    costs = Costs(asked_for.codes, tuple(step), tuple(render), asked_for.pool, asked_for.rows, asked_for.batch)
    rows = table(arrivals, costs, asked_for.drafters, asked_for.renderers)
    head = {
        "requests": len(arrivals),
        "per_s": round(len(arrivals) / arrivals[-1], 2),
        "index_of_dispersion": dispersion(arrivals),
    }
    if asked_for.json:
        print(json.dumps(head | {"costs": vars(costs), "rows": rows}, indent=1))
        return
    print(
        f"{head['requests']:,} requests, {head['per_s']} a second; index of dispersion {head['index_of_dispersion']}\n"
    )
    names = ("drafters", "renderers", "p50, s", "p95, s", "p99, s", "drafters busy", "renderers busy")
    print(f"| {' | '.join(names)} |\n{'|---' * len(names)}|")
    for row in rows:
        times = " | ".join(f"{row[f'p{p}_s']:.2f}" for p in (50, 95, 99))
        busy = " | ".join(f"{100 * share:.0f} %" for share in row["busy"].values())
        print(f"| {row['drafters']} | {row['renderers']} | {times} | {busy} |")


if __name__ == "__main__":
    main()
