"""Style sheet and script of all pages, embedded in each page so that nothing else is loaded."""

STYLE = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1a1f26;--soft:#5c6773;--line:#e2e6eb;
--code:#f3f5f7;--link:#0b5cad;--head:#202a35;--ok:#1a7f4b;--bad:#c2352b;--run:#1a66e0;--stop:#9a5c00;
--wait:#9aa5b1;--badbg:#fdecea}
@media (prefers-color-scheme:dark){:root{--bg:#11161c;--card:#182029;--ink:#e4e9ee;--soft:#96a2af;
--line:#2a3440;--code:#0e1318;--link:#72b1f5;--head:#0b0f14;--ok:#3fb27a;--bad:#f0736a;--run:#5b9cf5;
--stop:#d99a3d;--wait:#5f6b78;--badbg:#3a1d1c}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:14px/1.5 system-ui,"Segoe UI",sans-serif}
header{background:var(--head);color:#cdd6df;display:flex;flex-wrap:wrap;gap:.3rem 1.6rem;align-items:center;
padding:.65rem 1.6rem}
header a{color:inherit;text-decoration:none}header strong{color:#fff;font-size:1.02rem}
header small{margin-left:auto;font-size:.82rem;opacity:.85}
nav{display:flex;flex-wrap:wrap;gap:.3rem}nav a{padding:.2rem .7rem;border-radius:5px}
nav a:hover{background:#ffffff1a}nav a[aria-current]{background:#ffffff26;color:#fff}
main{padding:1.3rem 1.6rem 3rem;max-width:1500px;margin:auto}
h1{font-size:1.35rem;margin:0;font-weight:650;overflow-wrap:anywhere}
h2{font-size:1rem;margin:0 0 .7rem;font-weight:650}
a{color:var(--link)}a:focus-visible,button:focus-visible,summary:focus-visible{outline:2px solid var(--run)}
.top{display:flex;gap:.9rem;align-items:center;flex-wrap:wrap;margin-bottom:1rem}.top form{margin-left:auto}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:1rem 1.2rem;
margin-bottom:1rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.42rem .9rem .42rem 0;border-bottom:1px solid var(--line);vertical-align:middle}
tbody tr:last-child td{border-bottom:0}th{font-weight:600;color:var(--soft);font-size:.82rem}
td.num,time{font-variant-numeric:tabular-nums;white-space:nowrap}
th{white-space:nowrap}.runs td:nth-child(1){min-width:11rem;max-width:22rem;overflow-wrap:anywhere}
.runs td:nth-child(2),.runs td:nth-child(3),.runs td:nth-child(4){white-space:nowrap;width:1%}
.runs td:nth-child(5),.runs th:nth-child(5){min-width:16rem;width:45%;padding-right:0}
.why{color:var(--soft);font-size:.85rem;display:block;overflow-wrap:anywhere}
.state{display:inline-flex;gap:.4rem;align-items:center;font-size:.78rem;font-weight:650;
letter-spacing:.02em;white-space:nowrap;color:var(--c)}
.state::before{content:"";width:.55rem;height:.55rem;border-radius:50%;background:var(--c)}
.state,.bar,.ACCEPTED{--c:var(--wait)}.SUCCEEDED,.ACTIVE{--c:var(--ok)}.FAILED{--c:var(--bad)}
.IN_PROGRESS,.INPROGRESS,.CREATING,.UPDATING{--c:var(--run)}
.CANCELED,.STOPPED,.CANCELING,.STOPPING{--c:var(--stop)}.INACTIVE,.DELETED,.DELETING{--c:var(--wait)}
.state.ACCEPTED{color:var(--soft)}
svg{display:block;width:100%}.bars{height:26px}.axis{height:18px}.tall .bars{height:34px}
rect.bar{fill:var(--c)}rect.bar.CANCELING,rect.bar.STOPPING{opacity:.55}.mark{stroke:var(--line)}
.axis text{fill:var(--soft);font-size:11px;font-weight:400}
.legend{margin:.8rem 0 0;color:var(--soft);font-size:.82rem}.key{margin-right:1.1rem;white-space:nowrap}
.key i{display:inline-block;width:.8rem;height:.6rem;border-radius:2px;background:var(--c);margin-right:.4rem}
.chips{display:flex;gap:.4rem;flex-wrap:wrap}.chips a{border:1px solid var(--line);border-radius:99px;
padding:.12rem .75rem;text-decoration:none;color:var(--soft);background:var(--card);font-size:.86rem}
.chips a[aria-current]{background:var(--ink);color:var(--bg);border-color:var(--ink)}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:.8rem 1.4rem;margin:0}
dt{color:var(--soft);font-size:.82rem}dd{margin:0;overflow-wrap:anywhere}
code,pre{font:12.5px/1.5 ui-monospace,"DejaVu Sans Mono",monospace}
pre{background:var(--code);border:1px solid var(--line);border-radius:6px;padding:.75rem .9rem;margin:.5rem 0;
overflow:auto;max-height:26rem;white-space:pre-wrap;overflow-wrap:anywhere}
.note{border-left:4px solid var(--bad);background:var(--badbg)}.empty,.soft{color:var(--soft)}
summary{cursor:pointer;padding:.2rem 0}details+details{border-top:1px solid var(--line);padding-top:.3rem}
@media (max-width:600px){header,main{padding-left:.8rem;padding-right:.8rem}.card{padding:.8rem}
header small{margin-left:0}td{overflow-wrap:normal}}
button{font:inherit;font-weight:600;color:#fff;background:#c2352b;border:0;border-radius:6px;
padding:.42rem 1rem;cursor:pointer}button:hover{background:#a32a21}
"""

# Reloads the main element every 1.5 s while the page is visible. Logs that were scrolled to the end stay
# there, opened details stay open, and nothing is replaced while text is selected.
SCRIPT = """
(function () {
  var main = document.getElementById("main");
  function scrollToEnd(pre) { pre.scrollTop = pre.scrollHeight; }
  document.querySelectorAll("pre[data-follow]").forEach(scrollToEnd);
  function replaceMain(fresh) {
    fresh.querySelectorAll("details[id]").forEach(function (d) {
      var old = document.getElementById(d.id);
      if (old) d.open = old.open;
    });
    var scrollTops = {};
    main.querySelectorAll("pre[id]").forEach(function (p) {
      var atEnd = p.scrollTop + p.clientHeight >= p.scrollHeight - 8;
      scrollTops[p.id] = atEnd ? null : p.scrollTop;
    });
    main.replaceWith(fresh);
    main = fresh;
    main.querySelectorAll("pre[id]").forEach(function (p) {
      var scrollTop = scrollTops[p.id];
      if (typeof scrollTop === "number") p.scrollTop = scrollTop;
      else if (p.dataset.follow) scrollToEnd(p);
    });
  }
  function schedule() { if (main.dataset.live === "yes") setTimeout(reload, 1500); }
  function reload() {
    var selection = String(getSelection());
    if (document.hidden || selection) return schedule();
    fetch(location.href, {cache: "no-store"}).then(function (r) { return r.text(); }).then(function (t) {
      var fresh = new DOMParser().parseFromString(t, "text/html").getElementById("main");
      if (fresh && fresh.outerHTML !== main.outerHTML) replaceMain(document.adoptNode(fresh));
      schedule();
    }).catch(schedule);
  }
  schedule();
})();
"""
