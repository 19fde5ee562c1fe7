import { day, money } from './format'
import styles from './page.module.css'
import type { Entry } from './types'

export function Row({ entry }: { entry: Entry }) {
  return (
    <tr>
      <td>{entry.title}</td>
      <td>{day(entry.at)}</td>
      <td className={styles.amount}>{money(entry.amount)}</td>
    </tr>
  )
}
