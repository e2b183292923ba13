// SPDX-License-Identifier: Apache-2.0
//
// The looks of the page: light and dark, and colours that the colour-blind tell apart.
#ifndef WHENCE_FORMAT_PAGE_STYLE_HPP
#define WHENCE_FORMAT_PAGE_STYLE_HPP

namespace whence::inline v1::format::page {

inline constexpr char style[] = R"page(:root {
  color-scheme: light dark;
  --ground: #fff; --text: #1b1f24; --quiet: #57606a; --line: #d0d7de; --strong: #0a58ca;
}
@media (prefers-color-scheme: dark) {
  :root { --ground: #14171a; --text: #e6e8ea; --quiet: #9aa4ae; --line: #3a4047; --strong: #7db3ff; }
}
* { box-sizing: border-box; }
body { margin: 0; padding: .6rem 1rem; background: var(--ground); color: var(--text); font: 14px/1.4 system-ui, sans-serif; }
form { display: flex; flex-wrap: wrap; gap: .4rem .9rem; align-items: center; margin-bottom: .4rem; }
form > span { display: inline-flex; gap: .3rem; align-items: center; }
select, input, button { font: inherit; }
input[type=number] { width: 4.5rem; }
:focus-visible, table button:focus-visible { outline: 2px solid var(--strong); outline-offset: 1px; }
table button { all: unset; cursor: pointer; }
#message { font-weight: 600; }
#detail { min-height: 2.8em; overflow-wrap: anywhere; color: var(--quiet); }
#message:empty, [hidden] { display: none !important; }
#detail { height: 2.8em; overflow: auto; overflow-wrap: anywhere; }
canvas { display: block; width: 100%; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .15rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:last-child, td:last-child { text-align: left; white-space: normal; overflow-wrap: anywhere; width: 100%; }
tbody tr { cursor: pointer; }
.swatch { display: inline-block; width: .9em; height: .9em; vertical-align: -.1em; border: 1px solid var(--line); }
.less { background: #6aa5e0; } .same { background: #d9d9d9; } .more { background: #f2a65a; }
details { margin-top: 1em }
)page";

}  // namespace whence::inline v1::format::page

#endif  // WHENCE_FORMAT_PAGE_STYLE_HPP
