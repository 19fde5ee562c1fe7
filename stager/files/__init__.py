"""Files of this machine: opened, written whole or not at all, limited in size; folders that go away; programs found."""
