"""What tests share: servers, flavours, a proxy that loses things, clocks, and what the server was asked.

Only this package reaches inside ``coord`` on behalf of tests of other rooms, in few functions with names.
"""
