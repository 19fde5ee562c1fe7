"""Running the ecosystems' own resolvers: what they are shown of an app, and where they run. `docs/resolvers.md` says why."""
