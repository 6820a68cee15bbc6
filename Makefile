# Every target is `python3 -m tools TARGET`, which works without make too (Windows: py -m tools).
PYTHON ?= python3
CHAPTERS ?=
SOLUTIONS ?= yes
CLASS ?=
COURSE ?=
SUBMISSIONS ?=
PORT ?= 8000

.DEFAULT_GOAL := help
.PHONY: help book pdf test student course grade falsify serve lab sync colab bench lock clean

help book pdf test student course grade falsify serve lab sync colab bench lock clean:
	@$(PYTHON) -m tools $@ --chapters "$(CHAPTERS)" --solutions $(SOLUTIONS) --port $(PORT) \
		--class "$(CLASS)" --course "$(COURSE)" --submissions "$(SUBMISSIONS)" $(if $(ALL),--all) \
		$(if $(FRESH),--fresh)
