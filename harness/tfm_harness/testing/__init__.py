"""For tests of boards, protocols and suites: simulators of boards, images made on the host."""
