"""Videos that the server fetches itself: cameras, playlists, files.

    http -> manager -> source -> connection  |  worker -> live_input, http_reader -> the camera
            store      lifecycle, timestamps |  one process for each connection

What stands right of the bar runs in a process of its own. address, lifecycle, timestamps and pace are pure.
"""
