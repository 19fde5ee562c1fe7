import { Row } from './Row'
import type { Entry } from './types'

export function Table({ entries }: { entries: Entry[] }) {
  return (
    <table>
      <tbody>
        {entries.map((entry) => (
          <Row key={entry.id} entry={entry} />
        ))}
      </tbody>
    </table>
  )
}
