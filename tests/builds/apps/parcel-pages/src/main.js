document.title = 'parcel'
