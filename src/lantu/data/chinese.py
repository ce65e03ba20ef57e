"""Enough Chinese grammar to name things: numbers and measure words."""

from lantu.data.gallery import Concept

NUMBERS = ("零", "一", "两", "三", "四", "五", "六")

BY_NAME = {
    "匹": "马 狼",
    "条": "鱼 热带鱼 蛇 龙 裤子 连衣裙 牛仔裤 围巾 毛毛虫 鲨鱼 鳄鱼 鲸鱼 项链",
    "头": "奶牛 牛 猪 大象 骆驼 狮子 鹿 鲸 犀牛",
    "辆": "婴儿车",
    "列": "火车 高铁 地铁",
    "架": "飞机 直升机 直升飞机 钢琴 天平",
    "艘": "帆船 轮船 船 火箭船",
    "枚": "火箭 戒指 奖牌",
    "座": "房子 房屋 城堡 教堂 学校 医院 摩天轮 山 火山 工厂 桥",
    "棵": "树 大树 松树 棕榈树 圣诞树 仙人掌 四叶草",
    "朵": "花 玫瑰 郁金香 向日葵 云 云朵 雨云 蘑菇 樱花",
    "片": "枫叶 叶子 面包 西瓜 雪花",
    "根": "香蕉 胡萝卜 玉米 蜡烛 棒棒糖 羽毛 热狗",
    "串": "葡萄 樱桃",
    "颗": "草莓 糖果 宝石 钻石 骰子 星星 五角星 爱心 红心 蓝色爱心 绿色爱心 黄色爱心 紫色爱心 蓝心 绿心 黄心 紫心 破碎的心 鸡蛋",
    "块": "披萨 比萨 奶酪 巧克力 蛋糕 饼干 曲奇 手表 寿司",
    "杯": "咖啡 牛奶 啤酒 红酒 葡萄酒",
    "碗": "米饭 面条",
    "份": "薯条 爆米花",
    "把": "雨伞 伞 钥匙 锁 挂锁 剪刀 锤子 菜刀 刀 勺子 吉他 小提琴 椅子",
    "张": "床 沙发 调色板 笑脸 哭脸 生气的脸",
    "扇": "门",
    "盏": "灯笼 灯泡",
    "个": "红绿灯 交通灯 轮胎",
    "台": "笔记本电脑 照相机 相机 电视 电视机 电脑",
    "部": "手机 电话",
    "本": "书 书本",
    "支": "铅笔 温度计 小号 麦克风 话筒",
    "件": "T恤 T恤衫 礼物 外套",
    "双": "运动鞋 高跟鞋 袜子",
    "副": "眼镜 墨镜 太阳镜 耳机",
    "顶": "帽子 礼帽 皇冠 王冠 帐篷",
    "轮": "太阳 月亮 月牙",
    "道": "彩虹 闪电",
    "团": "火 火焰",
    "滴": "水滴",
    "封": "信封",
    "面": "鼓 镜子 旗",
    "位": "圣诞老人",
}
BY_SUBGROUP = {
    "animal-mammal": "只",
    "animal-bird": "只",
    "animal-bug": "只",
    "animal-marine": "只",
    "animal-reptile": "只",
    "animal-amphibian": "只",
    "transport-ground": "辆",
    "plant-flower": "朵",
}
MEASURE = {name: measure for measure, names in BY_NAME.items() for name in names.split()}


def measure(name: str, concept: Concept) -> str:
    """The measure word of a noun; 个 fits where no other is known."""
    return MEASURE.get(name) or BY_SUBGROUP.get(concept.subgroup, "个")


def counted(name: str, concept: Concept, count: int = 1) -> str:
    """A noun with a number and its measure word: 三个苹果."""
    return f"{NUMBERS[count]}{measure(name, concept)}{name}"
