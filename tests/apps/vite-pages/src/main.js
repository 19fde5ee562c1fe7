import './style.css'
const pages = { '/': 'home', '/about': 'about' }
document.querySelector('#app').textContent = `hello from ${pages[location.pathname] ?? 'nowhere'}`
