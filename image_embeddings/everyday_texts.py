"""What people search their photos for, in general: the texts against which a query's own likeness is held.

Short phrases over many subjects and in the languages that the models know, written for this purpose. Which photos an
index holds does not matter: the texts only say where texts lie, as a whole, and how far one is from photos that it
does not speak of (`calibration.calibrate`). A few of them will describe photos of any index; that is allowed for.
"""

EVERYDAY_TEXTS = tuple(
    """
a family at the dinner table
children in the garden
a baby asleep
grandmother with her grandchildren
friends at a party
a woman with sunglasses
a man riding a bicycle
a portrait in black and white
people waiting at the station
a crowd at a concert
two people shaking hands outside an office
a selfie in front of a mirror
a girl with a backpack
a boy with a kite
an old man reading
a team photo
a graduation ceremony
Christmas morning
a birthday cake with candles
fireworks over the city
a carnival costume
a picnic in the park
a campfire at night
a tent by the lake
hiking in the mountains
a path through the forest
autumn leaves on the ground
a field of wheat
a tree in fog
flowers in a vase
a rose in bloom
mushrooms in the grass
a river between rocks
waves on a rocky coast
a sandy bay with clear water
clouds before a storm
a rainbow
stars in the night sky
the sun going down
a frozen lake
icicles on a roof
a dog in the snow
a cat on the sofa
a horse in a meadow
cows on a pasture
a bird on a branch
ducks on a pond
a butterfly on a flower
a fish under water
an animal in the zoo
a squirrel eating a nut
an old town with narrow streets
a church tower
a castle on a hill
a street market
a row of houses
a modern office building
a construction site
a harbour with fishing boats
a sailing boat
a train at the platform
an airport at night
a plane in the sky
a red car
a motorcycle
traffic in the rain
a petrol station
a bus stop
road signs
a map
a shop window
a restaurant terrace
a plate of food
breakfast with eggs
a cup of tea
a glass of beer
fruit in a basket
vegetables on a table
fresh bread
a chocolate cake
a kitchen
a bedroom
a bathroom mirror
a desk with papers
a computer screen
a mobile phone
a receipt
a screenshot of a conversation
handwritten notes
a whiteboard with drawings
a book cover
a painting in a museum
a statue
a toy
a guitar
a football match
a tennis player
a runner on a track
skiing downhill
a swimmer
a boxing ring
a hospital room
a doctor
a soldier in uniform
a fire
a flooded street
a broken window
tools on a workbench
a garden shed
a staircase
a wooden door
a lamp
a clock on the wall
shoes
a wedding ring
a dress
a hat
a pair of hands
an eye close up
a tattoo
a shadow on a wall
a pattern of tiles
a blue background
something blurred
a view from a window
a view from a plane
a satellite image
a diagram
eine Familie im Garten
Kinder auf dem Spielplatz
Berge im Sommer
eine Katze auf dem Sofa
ein rotes Auto
Essen auf einem Teller
ein altes Haus
ein Geburtstag
Bäume im Nebel
eine Straße bei Nacht
ein Blumenstrauß
ein Bild mit Text
une famille à table
des enfants dans le jardin
un chien qui court
une vieille église
un coucher de soleil
une voiture garée
le marché du village
un gâteau d'anniversaire
des arbres en automne
une chambre
un bateau au port
un document
una familia en la mesa
niños jugando
un perro en el parque
montañas en verano
una calle estrecha
un coche rojo
comida en un plato
una fiesta
flores en un jarrón
un edificio moderno
un gato dormido
un texto escrito a mano
una famiglia in giardino
bambini che giocano
un cane sul prato
una strada di notte
una chiesa antica
un piatto di verdure
una macchina
un compleanno
alberi in autunno
una camera
een gezin aan tafel
kinderen in de tuin
een hond op het strand
een oude straat
een boot op het meer
bloemen in een vaas
een taart
een kamer
rodzina przy stole
dzieci w ogrodzie
pies na łące
stary dom
samochód na ulicy
kwiaty w wazonie
góry latem
urodziny
uma família à mesa
crianças a brincar
um cão no parque
uma rua à noite
um carro vermelho
flores num vaso
comida num prato
uma festa
семья за столом
дети в саду
собака на траве
старая улица
машина у дома
цветы в вазе
горы летом
день рождения
masada bir aile
bahçede çocuklar
çimde bir köpek
eski bir sokak
kırmızı bir araba
vazoda çiçekler
bir tabak yemek
doğum günü
家族の写真
庭で遊ぶ子供
公園の犬
古い町並み
赤い車
花瓶の花
夕食の料理
誕生日
가족 사진
정원에서 노는 아이들
공원의 강아지
오래된 거리
빨간 자동차
꽃병의 꽃
저녁 식사
생일 파티
家庭照片
花园里的孩子
公园里的狗
老街道
红色汽车
花瓶里的花
一盘菜
生日聚会
عائلة حول المائدة
أطفال في الحديقة
كلب على العشب
شارع قديم
سيارة حمراء
زهور في مزهرية
طبق طعام
عيد ميلاد
ครอบครัวที่โต๊ะอาหาร
เด็กๆ ในสวน
สุนัขในสวนสาธารณะ
ถนนเก่า
รถสีแดง
ดอกไม้ในแจกัน
อาหารในจาน
วันเกิด
""".strip().splitlines()
)
