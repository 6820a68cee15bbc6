# Every target is `python3 -m tools TARGET`, which works without make too (Windows: py -m tools).
PYTHON ?= python3
CHAPTERS ?=
SOLUTIONS ?= yes
PORT ?= 8000

.DEFAULT_GOAL := help
.PHONY: help book test falsify serve lab sync lock clean

help book test falsify serve lab sync lock clean:
	@$(PYTHON) -m tools $@ --chapters "$(CHAPTERS)" --solutions $(SOLUTIONS) --port $(PORT) $(if $(ALL),--all)
