"""metaflow-netflixext 2.

A package, and not a part of a namespace: 1.3 has a package of this name that leads to its own modules, and would be
taken in place of ours wherever on the path it lies, even in the image of a container.
"""
