"""What every client shares: which addresses may be reached, connections and their deadlines, trying again."""
