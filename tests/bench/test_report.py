"""Tables and pages."""

from bench.figures import Budget, Figure, spread
from bench.scenarios import FIGURES, SCENARIOS, Book

from bench import picture, plan, report

WHERE = report.Environment("2026-01-02", "abc", "A CPU", 2, {"Python": "3.11"})
CPU = Figure(
    "request.cpu", "CPU per request", "us", {"nginx": [10, 12], "standfast": [50, 24]}, Budget(3, relative=True)
)
START = Figure("start.seconds", "start", "s", {"standfast": [0.5]}, Budget(1, strict=True), digits=2)


def test_a_line_has_medians_spread_ratio_budget_and_verdict() -> None:
    """Every cell of a line is derived from the rounds."""
    assert report.cells(CPU) == (
        "CPU per request",
        "us",
        "11.0 (10.0 to 12.0)",
        "37.0 (24.0 to 50.0)",
        "3.50 (2.00 to 5.00)",
        "<= 3 x nginx",
        "**no**",
    )
    assert report.cells(START) == ("start", "s", "-", "0.50", "-", "< 1 s", "yes")


def test_a_table_is_aligned_and_escapes_pipes() -> None:
    """All lines have one length, and a pipe in a cell does not open a column."""
    text = report.table([["a|b", "1"], ["longer than that", "2"]], ["x", "y"])
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2].startswith("| a\\|b ")
    assert set(lines[1]) == {"|", " ", "-"}


def test_thousands_are_set_apart() -> None:
    """Large figures are readable, and a single round has no spread."""
    assert report.span(spread([23456.7]), 0) == "23,457"
    assert report.span(None, 1) == "-"


def test_missed_budgets_are_named_first() -> None:
    """The page opens with what was not met."""
    assert report.summary([CPU, START]) == "1 of 2 budgets are met. Not met: CPU per request."
    assert report.summary([START]) == "All 1 budgets are met."
    assert report.summary([]) == "No budget was judged in this run."
    page = report.page([CPU, START], WHERE, plan.FULL, [0.1], "standfast serve")
    assert page.index("Not met: CPU per request") < page.index("| figure")


def test_a_noisy_run_says_so() -> None:
    """More than a fifth of a CPU used by others is a warning on the page."""
    assert "That is a lot" not in report.noise([0.1, 0.15, 0.9])
    assert "That is a lot" in report.noise([0.1, 0.3, 0.9])
    assert "90% at worst" in report.noise([0.1, 0.3, 0.9])


def test_the_page_names_machine_commit_and_method() -> None:
    """What is needed to judge the figures stands on the page: machine, commit, date, sizes of the load."""
    page = report.page([CPU], WHERE, plan.FULL, [], "standfast serve")
    for fact in ("A CPU, 2 cores", "commit abc", "2026-01-02", "streams of 200 chunks", "1,000 open", "make bench"):
        assert fact in page
    assert max(len(line) for line in page.splitlines() if not line.startswith(("|", "*"))) <= 120


def test_the_mock_alone_has_its_own_table() -> None:
    """Figures that were measured at the mock too are told, so that a reader can subtract."""
    figure = Figure("request.one_p50", "latency", "ms", {"mock": [0.02], "nginx": [0.05]}, digits=2)
    assert "| latency | ms   | 0.02 |" in report.page([figure], WHERE, plan.FULL, [], "x")


def test_the_budget_line_stands_in_the_figures_own_unit() -> None:
    """A relative budget is drawn at its multiple of nginx' median, an absolute one at its limit."""
    assert picture.limit(CPU) == 33
    assert picture.limit(START) == 1
    assert picture.limit(CPU.with_values({"standfast": [1.0]})) is None
    assert picture.drawn([CPU, START, CPU.with_values({})]) == [CPU, START]


def test_every_budget_of_the_design_is_in_the_table() -> None:
    """Budgets cannot be dropped or softened in silence."""
    budgets = {figure.key: figure.budget.text(figure.unit) for figure in FIGURES if figure.budget is not None}
    assert budgets == {
        "request.cpu": "<= 3 x nginx",
        "chunk.cpu": "<= 1.3 x nginx",
        "stream.memory": "<= 40 KB",
        "first_token.added_p50": "<= 5 ms",
        "first_token.added_p99": "<= 5 ms",
        "start.seconds": "< 1 s",
        "memory.idle": "< 70 MB",
        "failover.closed_p50": "<= 5 ms",
        "failover.closed_p99": "<= 5 ms",
        "failover.open_p50": "<= 5 ms",
        "failover.open_p99": "<= 5 ms",
    }


def test_the_book_keeps_the_tables_order_and_only_what_was_measured() -> None:
    """Figures come out in the order of the table however they were written down."""
    book = Book()
    book.add("start.seconds", "standfast", 1.0)
    book.add("request.cpu", "nginx", 2.0)
    book.add("request.cpu", "nginx", 3.0)
    assert [(figure.key, dict(figure.values)) for figure in book.figures()] == [
        ("request.cpu", {"nginx": (2.0, 3.0)}),
        ("start.seconds", {"standfast": (1.0,)}),
    ]


def test_quick_and_full_have_the_same_scenarios() -> None:
    """Every scenario tells of at least one step in both profiles, so that progress can be counted."""
    for profile in (plan.QUICK, plan.FULL):
        assert all(scenario.steps(profile) >= 1 for scenario in SCENARIOS.values())
