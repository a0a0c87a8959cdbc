"""The arrows of the study: every command of the same name is one function here."""
