"""How the page looks: light and dark, on paper, narrow; no colour says a thing alone."""

STYLE = """
:root{color-scheme:light dark;--ground:#fdfdfc;--card:#fff;--ink:#1c1f23;--soft:#5a626b;
--line:#d9dde1;--tint:#f1f4f6;--blue:#0b63a5;--warm:#a34700;--best:#e6f1fa}
@media(prefers-color-scheme:dark){:root{--ground:#14171a;--card:#1b1f23;--ink:#e7eaec;--soft:#a5adb5;
--line:#343b42;--tint:#22272c;--blue:#7fbdf0;--warm:#f0a661;--best:#17324a}}
*{box-sizing:border-box}
html{scroll-behavior:smooth}
body{margin:0;background:var(--ground);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main,header,footer{max-width:62rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2rem}
h1{font-size:1.7rem;line-height:1.2;margin:.1rem 0 .4rem;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:0 0 .6rem;padding-top:.2rem}
h3{font-size:1rem;margin:1.3rem 0 .4rem}
p{margin:.45rem 0;max-width:46rem;overflow-wrap:anywhere}
.kicker,.note,figcaption,caption{color:var(--soft)}
.kicker{margin:0;font-size:.85rem;letter-spacing:.04em}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.9rem 0 0;font-size:.92rem}
a{color:var(--blue)}
section{background:var(--card);border:1px solid var(--line);border-radius:.6rem;
padding:1.1rem 1.25rem 1.2rem;margin:1.1rem 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.7rem;
margin:.8rem 0 1rem;padding:0}
.tiles div{background:var(--tint);border-radius:.5rem;padding:.55rem .8rem;min-width:0}
.tiles dt{color:var(--soft);font-size:.82rem}
.tiles dd{margin:0;font-size:1.3rem;font-weight:600;line-height:1.3;overflow-wrap:anywhere}
.tiles dd small{display:block;font-size:.8rem;font-weight:400;color:var(--soft)}
.warn{border-left:.25rem solid var(--warm);padding:.1rem 0 .1rem .8rem;margin:.7rem 0}
.scroll{overflow-x:auto;margin:.7rem 0}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-size:.86rem;padding-bottom:.3rem}
th,td{padding:.32rem .6rem;border-bottom:1px solid var(--line);vertical-align:top;text-align:left;
font-weight:400}
thead th{color:var(--soft);font-size:.84rem;border-bottom:2px solid var(--line)}
td.word,th.word{min-width:6.5rem}td:last-child.word{min-width:10rem}
.number{text-align:right;white-space:nowrap}
tr.best{background:var(--best)}
tr.best th,tr.best td{font-weight:600}
figure{margin:1rem 0}
figcaption{font-size:.88rem;max-width:46rem;margin:.3rem 0}
.code{position:relative}
pre{background:var(--tint);border-radius:.5rem;padding:.7rem .9rem;overflow-x:auto;margin:.3rem 0;
font:.84rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
button.copy{position:absolute;right:.5rem;top:2rem;font:inherit;font-size:.8rem;color:var(--ink);
background:var(--card);border:1px solid var(--line);border-radius:.35rem;padding:.1rem .6rem}
details{border-bottom:1px solid var(--line)}
details.trial:last-of-type{border-bottom:0}
summary{cursor:pointer;padding:.4rem 0;overflow-wrap:anywhere}
summary .state{color:var(--soft)}
details>ul,details>p,details>.scroll,details>figure{margin-left:1.1rem}
details ul{margin-top:.1rem;padding-left:1.1rem;overflow-wrap:anywhere}
svg.glance{width:100%;height:auto;min-width:32rem;max-width:46rem;display:block}
svg.glance text{fill:var(--soft);font-size:13px}
svg.glance .axis{stroke:var(--line);fill:none}
svg.glance .mark{stroke:var(--ink);stroke-width:1.2;fill:none}
svg.glance .lone{fill:var(--blue);stroke:var(--ink)}
svg.glance .stop{stroke:var(--warm)}
svg.glance .name{fill:var(--ink)}
.wide{overflow-x:auto}.plot{min-width:44rem;min-height:22rem;background:#fff;border-radius:.4rem;overflow:hidden}
footer{color:var(--soft);font-size:.88rem;padding-bottom:2.5rem}
@media(max-width:40rem){body{font-size:15px}section{padding:.8rem .9rem;border-radius:.4rem}
main,header,footer{padding-left:.7rem;padding-right:.7rem}}
@media print{:root{--ground:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#bbb;--tint:#f4f4f4;
--blue:#000;--warm:#000;--best:#eee}nav,button.copy{display:none}
body{font-size:10.5pt}section{border:0;padding:0;margin:0 0 1.2rem}
h2{break-after:avoid}figure,tr,.tiles div{break-inside:avoid}pre{white-space:pre-wrap}
.scroll{overflow:visible}details::details-content{content-visibility:visible;display:block}}
"""
