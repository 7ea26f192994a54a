"""The figures of `lrsearch.visualization` on the page: plotly once, data that closes no script."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from lrsearch.exceptions import LrsearchError
from lrsearch.sweeps import masked
from lrsearch.visualization._calibration import plot_calibration
from lrsearch.visualization._figure import graph_objects
from lrsearch.visualization._forecasts import plot_forecasts
from lrsearch.visualization._multipliers import plot_multipliers
from lrsearch.visualization._progress import plot_progress
from lrsearch.visualization._report._facts import Facts
from lrsearch.visualization._report._html import (
    Html,
    capital,
    html,
    number,
    paragraphs,
    plural,
    tag,
)
from lrsearch.visualization._schedules import plot_schedules
from lrsearch.visualization._trial import plot_trial

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

LEADERS = 5
DRAW = """
(()=>{const plots=document.querySelectorAll(".plot");
const config={displaylogo:false,responsive:true,modeBarButtonsToRemove:["sendChartToCloud",
"downloadJson","select2d","lasso2d","autoScale2d"]};
for(const box of plots){const data=document.getElementById(box.dataset.of);
const figure=JSON.parse(data.textContent);figure.layout.autosize=true;
box.style.minHeight=(figure.layout.height||400)+"px";
Plotly.newPlot(box,figure.data,figure.layout,config)}
addEventListener("beforeprint",()=>plots.forEach(p=>Plotly.Plots.resize(p)))})();
"""


def figures(facts: Facts) -> tuple[Html, Html]:
    """The section, and the scripts that the page needs for it."""
    if not facts.rows:
        return paragraphs("There is nothing to draw yet."), Html()
    if not facts.ours:
        said = "There are none: they are drawn of trials with a schedule of lrsearch."
        return paragraphs(said), Html()
    try:
        graph_objects()
        from plotly.offline import get_plotlyjs
    except ImportError:
        said = "There are none: figures need plotly, pip install 'lrsearch[viz]'."
        return paragraphs(said, "Everything else on this page is complete without them."), Html()
    parts: list[Html] = [
        tag("noscript", tag("p", "Without JavaScript the figures are their descriptions."))
    ]
    drawn = 0
    for name, draw, said in _all(facts):
        figure = _drawn(draw)
        if isinstance(figure, str):
            parts.append(tag("p", f"No figure of {name}: {figure}", class_="note"))
            continue
        drawn += 1
        key = f"figure-{drawn}"
        box = tag("div", class_="plot", data_of=key, role="img", aria_label=said)
        data = Html(f'<script type="application/json" id="{key}">{_data(figure)}</script>')
        title, wide = tag("h3", name.capitalize()), tag("div", box, class_="wide")
        parts.append(tag("figure", title, wide, tag("figcaption", said), data))
    scripts = f"<script>{get_plotlyjs()}</script><script>{DRAW}</script>" if drawn else ""
    return html(parts), Html(scripts)


def _drawn(draw: Callable[[], Figure]) -> Figure | str:
    try:
        return draw()
    except LrsearchError as error:
        return str(error)


def _data(figure: Figure) -> str:
    """The figure as JSON in which no character can end or open an element."""
    plain = _masked(json.loads(str(figure.to_json())))
    text = json.dumps(plain, separators=(",", ":"))  # ASCII: no U+2028 either
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, list):
        return [_masked(each) for each in value]
    if isinstance(value, dict):
        return {key: _masked(each) for key, each in value.items()}
    return value


def _all(facts: Facts) -> list[tuple[str, Callable[[], Figure], str]]:
    """Name, figure, and what it shows in a sentence with numbers."""
    study, done = facts.study, facts.finished
    known = [r["multiplier"] for r in facts.rows if r["multiplier"] is not None]
    stopped = sum(r["state"] == "pruned" for r in facts.rows)
    own = facts.winner.number if facts.winner is not None and facts.ours else None
    each: dict[str, Any] = {"objective": 0} if facts.several else {}
    told: list[tuple[str, Callable[[], Figure], str]] = [
        (
            "metric and multiplier",
            partial(plot_multipliers, study, **each),
            f"{capital(facts.metric)} of {plural(len(done), 'finished trial')} against the edge "
            "multiplier"
            + (f", {number(min(known))} to {number(max(known))}" if known else "")
            + f", by family; {stopped} stopped. The background tells what training did there.",
        ),
        (
            "schedules of the leaders",
            partial(plot_schedules, study, count=LEADERS, **each),
            f"Learning rate against the step in the {min(len(done), LEADERS)} best trials, the "
            "recommended one thick"
            + (f"; its peak is {number(facts.best_row['peak'])}." if own is not None
               and facts.best_row is not None else "."),
        ),
    ]  # fmt: skip
    if own is not None:
        seen = len(facts.stories[own]["readings"])
        told.append(
            (
                "the winner's training",
                partial(plot_trial, study, own),
                f"Loss, learning rate, normalised sharpness (1 is the edge) and gradient norm of "
                f"trial {own} at {plural(seen, 'reading')}, with what it was doing when.",
            )
        )
    spent = facts.costs
    edges = "; ".join(f"{number(e.learning_rate)} from {plural(len(e.trace), 'annealed run')}"
                      for e in facts.edges)  # fmt: skip
    told += [
        (
            "calibration of the edge",
            partial(plot_calibration, study),
            f"Loss that short annealed runs reached against their rate; the edge is {edges}."
            if edges
            else "No edge was measured.",
        ),
        (
            "progress of the sweep",
            partial(plot_progress, study, **each),
            f"Best {facts.metric} so far against the cost, {spent.trials + spent.edge:.1f} full "
            f"runs at the end; stops saved {spent.saved:.1f}.",
        ),
        (
            "forecast and outcome",
            partial(plot_forecasts, study, **each),
            f"The final {facts.metric} of {plural(len(done), 'finished trial')} against what their "
            "averaged weights gave on the way, with the rank correlation.",
        ),
    ]
    return told
