// SPDX-License-Identifier: Apache-2.0
//
// The controls of the page, and where it draws.
#ifndef WHENCE_FORMAT_PAGE_BODY_HPP
#define WHENCE_FORMAT_PAGE_BODY_HPP

namespace whence::inline v1::format::page {

inline constexpr char body[] = R"page(<form id="controls">
<span id="live">
<label for="profile">Profile</label> <select id="profile"></select>
<button type="button" id="reload">Reload</button>
<label for="seconds">or</label> <input id="seconds" type="number" min="1" max="300" value="10" required aria-label="seconds"> s
<button type="button" id="record">Record</button>
<progress id="progress" max="1" value="0" hidden></progress>
<button type="button" id="cancel" hidden>Cancel</button>
<button type="button" id="keep">Keep as base</button>
<button type="button" id="drop" hidden>Drop base</button>
</span>
<span><label for="type">Type</label> <select id="type"></select></span>
<span><label for="search">Search</label> <input id="search" type="search" placeholder="/ regular expression"></span>
<span><label for="group">Group by</label> <select id="group"></select></span>
<span><label for="filter">Label</label> <select id="filter"></select></span>
<span><input id="reversed" type="checkbox"> <label for="reversed">reversed</label></span>
<span><input id="inlined" type="checkbox" checked> <label for="inlined">inlined frames</label></span>
<span><input id="containers" type="checkbox"> <label for="containers">containers</label></span>
<span><label for="view">View</label> <select id="view"><option value="flame">flame graph</option><option value="top">top</option></select></span>
<button type="button" id="save">Save</button>
</form>
<div id="message" role="alert"></div>
<div id="summary"></div>
<div id="legend" hidden>Colour, against the base: <span class="swatch less"></span> less <span class="swatch same"></span> the same <span class="swatch more"></span> more. What is gone: see top.</div>
<div id="detail" aria-live="polite"></div>
<canvas id="flame" tabindex="0" role="img" aria-label="Flame graph: arrows move, Enter zooms, Escape shows all"></canvas>
<table id="top" hidden>
<thead><tr>
<th><button type="button" class="sort" data-by="flat">flat</button></th><th>flat%</th>
<th><button type="button" class="sort" data-by="cum">cum</button></th><th>cum%</th>
<th id="delta-head"><button type="button" class="sort" data-by="delta">delta</button></th>
<th><button type="button" class="sort" data-by="name">function</button></th>
</tr></thead>
<tbody id="rows"></tbody>
</table>
<details><summary>Comments</summary><ul id="comments"></ul></details>
)page";

}  // namespace whence::inline v1::format::page

#endif  // WHENCE_FORMAT_PAGE_BODY_HPP
