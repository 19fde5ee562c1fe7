import { Boxes } from 'lucide-react'
import { Link } from 'react-router'
import { areas } from './areas'

export function Menu() {
  return (
    <nav>
      <Boxes />
      {areas.map(({ name }) => (
        <Link key={name} to={`/${name}`}>
          {name}
        </Link>
      ))}
    </nav>
  )
}
