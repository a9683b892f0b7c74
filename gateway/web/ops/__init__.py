"""The console for operators: pages that the server renders, usable without JavaScript.

How to add a page:

1. Write ``pages_<what>.py`` with handlers, ``async def show(visit: Visit) -> web.Response``, and a
   ``ROUTES`` tuple of ``(method, path, handler)``. Paths begin with ``/ops``. Name it in
   ``console.PAGES``.
2. Say in ``access.NEEDS`` who may use each route: a role, and what a role may, those above it may
   too. A route that is not there does not start. For a place in the menu add it to ``access.MENU``.
3. A page answers ``await visit.page("<what>.html", title=..., ...)``. Its template extends
   ``layout.html`` and imports ``parts.html``, which has badges, tables, forms and charts. Text is
   escaped; no ``style`` attribute and no inline script, because the policy refuses them.
4. A form is ``{% call parts.form(action) %}`` with its fields: it carries the token against forged
   requests, and the request id that acts once. Its handler does one thing:
   ``return await visit.act("/ops/back", lambda: use_case(pool, visit.warrant(), ...))``, where the
   use case returns, or the lambda makes of it, the line that the operator is told. ``UserError``
   and a repeated request are told too. What moves money takes a reason: ``parts.reason()``.
5. What shall refresh itself stands in an element with an ``id`` and ``data-live``; the page is then
   given ``refresh=SECONDS``.
6. Charts are ``charts.plot(...)``, drawn by ``parts.chart(plot)``.

``tests/web/ops`` goes over all routes by itself: roles, headers, forged forms, hostile texts, and
in a browser the console's errors, phones and axe. A page that needs a thing to exist adds it to the
scene in ``tests/web/ops/scene.py``.
"""
