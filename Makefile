# The course's commands. Thin: the work is done by lib/bootstrap.py and by the programs of .venv.
#   make lab [PORT=8890]   set up if needed, start JupyterLab on the first chapter
#   make test              set up if needed, run every check that CI runs
#   make notebooks         make the notebooks from their texts and execute them (only those whose text changed)
#   make student           make build/gennet-student.zip: the course without solutions
#   make formgrader        start nbgrader's page on the folder `course`: read derivations, give points
#   make bench             measure the speed promises against other libraries
#   make clean             remove .venv and the tools' caches (never your own work)
PYTHON ?= python3
export PORT

.PHONY: lab test notebooks student formgrader bench clean
lab test:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed: install Python 3.11 or later."; exit 1; }
	@$(PYTHON) lib/bootstrap.py $@

notebooks:
	@.venv/bin/python lib/make_exercises.py
	@.venv/bin/python lib/make_notebooks.py

student:
	@.venv/bin/python lib/make_student.py

formgrader:
	@.venv/bin/python -m gennet.grading formgrader

bench:
	@for benchmark in tests/benchmarks/bench_*.py; do .venv/bin/python $$benchmark || exit 1; done

clean:
	rm -rf .venv .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
