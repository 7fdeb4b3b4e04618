"""How the page looks. Colours by variables, for light and dark; one column on a phone."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #f6f6f3; --card: #ffffff; --ink: #1b1f24; --soft: #4b535d; --muted: #68717c; --hair: #e4e4de;
  --stored: #2e6e9e; --duplicates: #d3912a; --quarantined: #c0453a; --good: #2f7d4f;
  --p50: #2e6e9e; --p95: #8a63b8; --p99: #c9569a; --lag: #2f8577; --code: #f1f1ec;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #121417; --card: #1b1e23; --ink: #eceef1; --soft: #bcc3cc; --muted: #929ba7; --hair: #2d3239;
    --stored: #6aaee0; --duplicates: #e9b35c; --quarantined: #ee7d72; --good: #6cc08d;
    --p50: #6aaee0; --p95: #b696e6; --p99: #ee92c5; --lag: #62c4b3; --code: #24282e;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif;
}
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 64px; }
h1, h2, h3, p { margin: 0; }
h1 { font-size: 30px; line-height: 1.2; letter-spacing: -0.02em; font-weight: 650; overflow-wrap: anywhere; }
h2 { font-size: 20px; letter-spacing: -0.01em; font-weight: 650; margin: 52px 0 4px; }
h3 { font-size: 15px; font-weight: 600; }
.kicker { color: var(--muted); font-size: 13px; letter-spacing: 0.02em; margin-bottom: 6px; }
.sub { color: var(--muted); font-size: 14px; overflow-wrap: anywhere; }
h1 + .sub { margin-top: 8px; }
h2 + .sub { max-width: 90ch; margin-bottom: 16px; }
.card > details:first-child, .card > .scroll:first-child { margin-top: 0; }
.card {
  background: var(--card); border: 1px solid var(--hair); border-radius: 12px; padding: 20px 22px; min-width: 0;
}
.grid { display: grid; gap: 16px; grid-template-columns: repeat(2, minmax(0, 1fr)); margin-top: 16px; }
.stack > .card + .card { margin-top: 16px; }

.status { list-style: none; margin: 26px 0 0; padding: 0; }
.status li { position: relative; padding: 3px 0 3px 22px; max-width: 84ch; overflow-wrap: anywhere; }
.status li::before {
  content: ""; position: absolute; left: 2px; top: 11px; width: 9px; height: 9px; border-radius: 50%;
  background: var(--good);
}
.status .bad::before { background: var(--quarantined); border-radius: 2px; }
.status .notice::before { background: var(--duplicates); border-radius: 50% 50% 50% 0; }
.status b { font-weight: 600; }

.books {
  display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); margin-top: 26px; padding: 0; overflow: hidden;
}
.books > div { padding: 20px 22px; border-left: 1px solid var(--hair); position: relative; }
.books > div:first-child { border-left: 0; }
.books > div + div::before {
  content: attr(data-sign); position: absolute; left: -12px; top: 37px; width: 23px; height: 23px; border-radius: 50%;
  background: var(--card); border: 1px solid var(--hair); color: var(--muted); font-size: 14px; line-height: 20px;
  text-align: center;
}
.tiles {
  display: grid; gap: 16px; grid-template-columns: repeat(3, minmax(0, 1fr)) minmax(0, 1.4fr); margin-top: 16px;
}
.tile-name { color: var(--muted); font-size: 13px; display: flex; align-items: center; gap: 7px; }
.figure {
  font-size: 30px; line-height: 1.25; font-weight: 620; letter-spacing: -0.02em; font-variant-numeric: tabular-nums;
}
.tiles .figure { font-size: 23px; }
.about { color: var(--muted); font-size: 13px; overflow-wrap: anywhere; }
.swatch { display: inline-block; width: 10px; height: 10px; border-radius: 3px; flex: none; }

figure { margin: 0; }
figcaption .sub { font-size: 13px; margin-top: 2px; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; margin-top: 8px; color: var(--soft); font-size: 13px; }
.legend span { display: inline-flex; align-items: center; gap: 6px; }
.drawing { margin-top: 10px; }
.drawing svg { display: block; width: 100%; height: auto; overflow: visible; }
.drawing svg text { font-family: inherit !important; }
.narrow { display: none; }
.none { color: var(--muted); padding: 10px 0 2px; max-width: 74ch; }

details { margin-top: 12px; }
summary { cursor: pointer; color: var(--soft); font-size: 13px; width: fit-content; }
summary:hover { color: var(--ink); }
:focus-visible { outline: 2px solid var(--stored); outline-offset: 2px; border-radius: 3px; }
.scroll { overflow-x: auto; margin-top: 10px; max-width: 100%; }
details .scroll { max-height: 340px; overflow-y: auto; }
table { border-collapse: collapse; font-size: 13px; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 12px 6px 0; border-bottom: 1px solid var(--hair); vertical-align: top; white-space: nowrap; }
th { color: var(--muted); font-weight: 500; position: sticky; top: 0; background: var(--card); }
tr:last-child td { border-bottom: 0; }
.t { text-align: left; }
.n { text-align: right; }
th:last-child, td:last-child { padding-right: 0; }
td.t { white-space: normal; overflow-wrap: anywhere; min-width: 7em; }

.bars {
  list-style: none; margin: 0; padding: 0; display: grid; gap: 0 44px; align-items: start;
  grid-template-columns: repeat(2, minmax(0, 1fr));
}
.bars > li { padding: 11px 0; border-top: 1px solid var(--hair); }
.bars > li:first-child, .bars > li:nth-child(2) { border-top: 0; padding-top: 0; }
.named { display: flex; justify-content: space-between; gap: 16px; align-items: baseline; }
.label { overflow-wrap: anywhere; min-width: 0; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.number small { display: inline-block; min-width: 4.6em; text-align: right; color: var(--muted); font-size: 13px; }
.bar { height: 6px; margin-top: 5px; border-radius: 3px; background: var(--code); overflow: hidden; }
.bar i { display: block; height: 100%; min-width: 3px; border-radius: 3px; }
.bars details { margin-top: 7px; }
code {
  font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; unicode-bidi: isolate;
}
.example {
  background: var(--code); border-radius: 8px; padding: 10px 12px; margin-top: 8px; overflow-wrap: anywhere;
}
.example code { display: block; word-break: break-all; }
.example p { color: var(--muted); font-size: 12.5px; margin-top: 5px; }
.advice { margin: 12px 0 0; padding-left: 18px; color: var(--soft); font-size: 14px; overflow-wrap: anywhere; }
footer { margin-top: 56px; color: var(--muted); font-size: 13px; max-width: 80ch; overflow-wrap: anywhere; }
footer p + p { margin-top: 6px; }

@media (max-width: 820px) {
  main { padding: 26px 16px 48px; }
  h1 { font-size: 25px; }
  h2 { margin-top: 40px; }
  .grid, .bars { grid-template-columns: minmax(0, 1fr); }
  .bars > li:nth-child(2) { border-top: 1px solid var(--hair); padding-top: 11px; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 10px; }
  .books { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .books > div:nth-child(3) { border-left: 0; }
  .books > div:nth-child(n + 3) { border-top: 1px solid var(--hair); }
  .books > div:nth-child(3)::before { left: -12px; display: none; }
  .card, .books > div { padding: 15px 16px; }
  .books { padding: 0; }
  .figure { font-size: 25px; }
  .tiles .figure { font-size: 20px; }
  .wide { display: none; }
  .narrow { display: block; }
  .drawing svg text { font-size: 13px !important; }
}
@media print { body { background: #fff; } .card { break-inside: avoid; } }
"""
