import { Chart } from './Chart'
import { money } from './format'
import messages from './messages.json'
import styles from './page.module.css'
import { useEntries } from './query'
import { sorted } from './sorting'
import { Sorting } from './Sorting'
import { useOrders } from './store'
import { Table } from './Table'
import { total } from './totals'

export default function Page() {
  const { by } = useOrders()
  const { data } = useEntries()
  if (!data) return messages.none
  return (
    <main className={styles.page}>
      <h1>{messages.title}</h1>
      <Sorting />
      <Table entries={sorted(data, by)} />
      <Chart entries={data} />
      {messages.total}: {money(total(data))}
    </main>
  )
}
