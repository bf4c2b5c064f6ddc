"""Call a function in a Python that does not have nbdag: ``python call_by_path.py FOLDER FILE``, by its path.

``FOLDER`` holds nbdag and nothing else; ``FILE`` is that of `nbmake_dag.inside.call`.
"""

import sys

if __name__ == "__main__":
    folder, file = sys.argv[1:]
    sys.path[0:1] = []  # the folder of this file, whose modules nobody may take for their own
    sys.path.append(folder)

    from nbmake_dag.inside.call import main

    sys.exit(main(file))
