#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What: a small real program: index its own standard library, in threads, as JSON and back.
Why: something to run under hakmem that allocates as programs do."""
import json
import os
import re
import threading
from collections import Counter

folder = os.path.dirname(os.__file__)
files = sorted(os.path.join(folder, f) for f in os.listdir(folder) if f.endswith(".py"))
counts = [Counter() for _ in range(4)]


def index(part):
    for path in files[part::4]:
        with open(path, encoding="utf-8", errors="replace") as source:
            counts[part].update(re.findall(r"[A-Za-z_]{3,}", source.read()))


threads = [threading.Thread(target=index, args=(i,)) for i in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
total = sum(counts, Counter())
again = json.loads(json.dumps(total))
assert again == total
print(f"{len(files)} files, {sum(total.values())} words, {len(total)} of them different")
print("most used:", ", ".join(word for word, _ in total.most_common(8)))
