"""Grade what students hand in: `python -m gennet.grading release | collect | grade | feedback | export`.

A submission never meets what it is judged by. Its program runs alone in a sandbox (`sandbox`, `inside`), is
asked for the values of its functions and hands back plain arrays (`wire`); a process that never ran it
compares them with the reference (`marking`). nbgrader keeps the marks and makes the pages (`gradebook`).
`course` has the folder and the secret seed, `submissions` reads what was handed in, `commands` puts it
together. Left out: how submissions come from a learning management system and how marks get there; both sides
are files.
"""
