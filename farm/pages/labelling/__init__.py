"""The page on which people judge pairs.

questions    which pairs a person is shown, in which order
sitting      one person at work: what is shown now, and what a key press does
door         who may come in: a link that opens once, and a cookie
app          the web page
"""
