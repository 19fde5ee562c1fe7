import { Line, LineChart, XAxis, YAxis } from 'recharts'
import { day } from './format'
import type { Entry } from './types'

export function Chart({ entries }: { entries: Entry[] }) {
  return (
    <LineChart width={600} height={200} data={entries}>
      <XAxis dataKey="at" tickFormatter={day} />
      <YAxis />
      <Line dataKey="amount" />
    </LineChart>
  )
}
