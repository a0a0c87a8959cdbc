"""Our web pages: the report and the labelling page, and what guards whatever is served.

templates    page templates with every value escaped, the style sheet, content hashes
guard        middleware: rejects requests from other sites, adds a content security policy
report       the report as one self-contained page
labelling    the page on which people judge pairs

Beside them lie `palette.css`, the colours of all pages, and `queries/`, what `farm browse` shows.
"""
