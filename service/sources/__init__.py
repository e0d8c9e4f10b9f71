"""Videos that the server fetches itself: cameras, playlists, files.

    api -> manager -> source -> connection | fetch -> inputs, web -> the camera
             store      state, times       | the one process per connection

address, policy, state, times, pace and wire are pure. What follows the bar runs in a process of its own.
"""
