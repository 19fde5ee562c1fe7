import { createRoot } from 'react-dom/client'
import { toKelvin } from 'units'

createRoot(document.getElementById('root')).render(<p>20 °C are {toKelvin(20)} K</p>)
