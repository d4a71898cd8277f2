# verify.py: written below
