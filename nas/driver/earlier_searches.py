"""The searches whose results inform the proposals of a new one (`--prior`), read when that one begins."""

from dataclasses import replace

from nas.records.earlier_search import EarlierSearch, Results, final_results
from nas.settings.command import Command
from nas.settings.run_directory import existing_run
from search_spaces.errors import UserError
from search_spaces.space import Space


def earlier_searches(command: Command) -> tuple[EarlierSearch, ...]:
    """What a search knows from others: once it has begun, what it was told then; a fork, as far as its space holds it.

    Raises UserError on a search that is not there, or of whose results none is in the space.
    """
    if command.previous is not None and command.previous.search.prior == command.search.prior:
        told = (replace(search, results=_held(search.results, command.space)) for search in command.previous.earlier)
        return tuple(search for search in told if search.results)
    return tuple(_read(command, name) for name in command.search.prior)


def _read(command: Command, name: str) -> EarlierSearch:
    # Optuna and SQLAlchemy, which a search without earlier ones is checked without.
    from nas.ledger.location import read_ledger

    directory = existing_run(command.runs_dir, name)
    ledger = read_ledger(directory, None if directory.ledger.is_file() else command.ledger.url)
    results = _held(final_results(ledger.records), command.space)
    if not results:
        finished = sum(record.outcome == "finished" for record in ledger.records)
        if not finished:
            raise UserError(f"--prior {name}: it has trained nothing to the end yet: expected a search with results.")
        raise UserError(
            f"--prior {name}: none of the {finished} architectures that it trained to the end is in this space: "
            "expected a search of the same space, of a part of it, or of one that overlaps with it."
        )
    resolution = 0.5 / max(1, ledger.header.data_summary.validation_images)
    return EarlierSearch(name, ledger.search_id, resolution, results)


def _held(results: Results, space: Space) -> Results:
    return tuple((architecture, accuracy) for architecture, accuracy in results if space.holds(architecture))
