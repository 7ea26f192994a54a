"""How to use the winner: documents and code to copy."""

from __future__ import annotations

from shlex import quote

from lrsearch.exceptions import LrsearchError
from lrsearch.schedules import Schedule, export
from lrsearch.sweeps import file_stem
from lrsearch.visualization._report._facts import Facts
from lrsearch.visualization._report._html import Html, capital, code, html, paragraphs, tag

WITH = """\
from lrsearch import Schedule

schedule = Schedule.load({file!r})
scheduler = schedule.torch(optimizer{model})

for step in range(schedule.budget):
    ...  # forward, backward, optimizer.step()
    scheduler.step()
"""
RESCALE = """\
from lrsearch import Schedule

schedule = Schedule.load({file!r}).rescale({budget})  # optimizer steps
scheduler = schedule.torch(optimizer{model})
"""


def use(facts: Facts) -> Html:
    """Code for the winner's schedule."""
    schedule = facts.schedule
    if schedule is None:
        return paragraphs("There is no schedule to use yet.", capital(facts.trouble) or None)
    file = f"{file_stem(facts.study.study_name)}.json"
    model = ", model=model" if schedule.averaging is not None else ""
    place = f" --storage {quote(facts.storage)}" if facts.storage else ""
    name = quote(facts.study.study_name)
    return html(
        [
            paragraphs(
                f"The schedule counts optimizer steps, {schedule.budget} in all, one scheduler "
                "step after each. Its rate is that of the first parameter group; other groups keep "
                "their ratio to it."
            ),
            code(WITH.format(file=file, model=model), "With lrsearch, in your own loop"),
            _exported(schedule, "torch", "Without lrsearch: torch code, complete"),
            _exported(schedule, "json", f"The document; save it as {file}"),
            code(
                RESCALE.format(file=file, budget=2 * schedule.budget, model=model),
                "For another budget: the same shape, with the warm-up in proportion",
            ),
            paragraphs(
                "The peak stays when the budget changes; nothing here measured whether it is also "
                "the best one there. Another model, batch size or optimizer needs its own edge."
            ),
            code(
                f"lrsearch export --study {name}{place} --format json -o {quote(file)}\n"
                f"lrsearch export --study {name}{place} --format torch   # or csv, numpy, optax, "
                "transformers",
                "From the study, on the command line",
            ),
        ]
    )


def _exported(schedule: Schedule, format: str, label: str) -> Html:
    try:
        return code(export(schedule, format), label)
    except LrsearchError as error:
        return tag("p", f"{label}: {error}", class_="warn")
