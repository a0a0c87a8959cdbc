"""The web pages: the report, the labelling page, and the middleware that protects served pages.

templates    page templates that escape every value, style sheets, content hashes
guard        middleware: rejects cross-origin requests, adds a Content-Security-Policy
report       the report as one self-contained page
labelling    the page on which people judge pairs

`palette.css` has the colours of all pages. `queries/` has the SQL queries that `farm browse` shows.
"""
